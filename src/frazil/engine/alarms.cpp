#include "frazil/engine/alarms.hpp"

#include <algorithm>
#include <cmath>

#include "frazil/base/error.hpp"

namespace frazil::engine {
namespace {

/// 0: the work stands or will stand; 1: everything that is made is wrong; 2: something is missing; 3: the rest.
int rank_of(AlarmKind kind) {
  switch (kind) {
    case AlarmKind::engine:
    case AlarmKind::disk:
      return 0;
    case AlarmKind::gain:
    case AlarmKind::dose:
    case AlarmKind::pixel_size:
    case AlarmKind::voltage:
    case AlarmKind::cs:
    case AlarmKind::frames:
    case AlarmKind::task:
      return 1;
    case AlarmKind::arrival:
    case AlarmKind::copy:
    case AlarmKind::files:
    case AlarmKind::filter:
    case AlarmKind::memory:
    case AlarmKind::worker:
    case AlarmKind::metadata:
      return 2;
    default:
      return 3;
  }
}

bool is_same(const Finding& a, const Finding& b) {
  return a.text == b.text && a.seen == b.seen && a.expected == b.expected && a.advice == b.advice && a.sure == b.sure;
}

/// A probability, whatever was said.
Finding with_probability(Finding finding) {
  finding.sure = std::isfinite(finding.sure) ? std::clamp(finding.sure, 0.0, 1.0) : 0;
  return finding;
}

}  // namespace

Json to_json(const store::AlarmRow& alarm) {
  auto json = record_to_json(alarm.finding);
  json["number"] = alarm.n;
  json["source"] = alarm.source;
  json["since"] = alarm.since;
  json["until"] = alarm.until;
  json["acknowledged"] = alarm.actor;
  return json;
}

std::string headline(const store::AlarmRow& alarm) { return alarm.source + ": " + alarm.finding.text; }

void sort_by_gravity(std::vector<store::AlarmRow>& alarms) {
  const auto key = [](const store::AlarmRow& a) {
    return std::tuple(!a.actor.empty(), rank_of(a.finding.kind), a.since, a.n);
  };
  std::sort(alarms.begin(), alarms.end(), [&](const auto& a, const auto& b) { return key(a) < key(b); });
}

// ---- what is found ----------------------------------------------------------------------------------------------

void Alarms::restore(std::vector<store::AlarmRow> standing, std::int64_t last, double time) {
  last_ = std::max(last_, last);
  for (auto& row : standing) {
    Key key{row.source, row.finding.kind, row.finding.about};
    standing_[std::move(key)] = {.row = std::move(row), .found = time, .told = time};
  }
}

void Alarms::see(const std::string& source, const std::vector<Finding>& findings, double time) {
  for (auto& [key, alarm] : standing_)
    if (std::get<0>(key) == source) ++alarm.missed;
  for (const auto& finding : findings) {
    const auto found = standing_.find({source, finding.kind, finding.about});
    if (found == standing_.end())
      raise(source, with_probability(finding), time);
    else if (found->second.missed > 0)  // else it was named twice
      find_again(found->second, with_probability(finding), time);
  }
  look(time);
}

void Alarms::raise(const std::string& source, Finding finding, double time) {
  Key key{source, finding.kind, finding.about};
  auto& alarm = standing_[std::move(key)];
  alarm.row.n = ++last_;
  alarm.row.source = source;
  alarm.row.finding = std::move(finding);
  alarm.row.since = alarm.found = time;
  tell(alarm, Change::What::raised, time);
}

void Alarms::find_again(Standing& alarm, Finding finding, double time) {
  if (alarm.missed > 1) ++alarm.returns;
  alarm.missed = 0;
  alarm.found = time;
  if (is_same(alarm.row.finding, finding)) return;
  alarm.row.finding = std::move(finding);
  alarm.changed = true;
}

void Alarms::tell(Standing& alarm, Change::What what, double time) {
  alarm.told = time;
  alarm.changed = false;
  if (what == Change::What::changed)
    for (auto& change : unsaved_)
      if (change.alarm.n == alarm.row.n && change.what <= Change::What::changed) {
        change.alarm = alarm.row;
        return;
      }
  unsaved_.push_back({what, alarm.row});
}

// ---- what is over -----------------------------------------------------------------------------------------------

double Alarms::quiet_s(const Standing& alarm) const {
  return std::ldexp(settings_.quiet_s, std::min(alarm.returns, 4));
}

std::map<Alarms::Key, Alarms::Standing>::iterator Alarms::finish(std::map<Key, Standing>::iterator alarm, double time) {
  alarm->second.row.until = time;
  tell(alarm->second, Change::What::over, time);
  return standing_.erase(alarm);
}

void Alarms::look(double time) {
  for (auto it = standing_.begin(); it != standing_.end();) {
    auto& alarm = it->second;
    if (alarm.missed >= settings_.versions && time - alarm.found >= quiet_s(alarm)) {
      it = finish(it, time);
      continue;
    }
    if (alarm.changed && time - alarm.told >= settings_.refresh_s) tell(alarm, Change::What::changed, time);
    ++it;
  }
}

void Alarms::tell_all(double time) {
  for (auto& [key, alarm] : standing_)
    if (alarm.changed) tell(alarm, Change::What::changed, time);
}

void Alarms::end(const std::string& source, double time) {
  for (auto it = standing_.begin(); it != standing_.end();)
    it = std::get<0>(it->first) == source && it->second.missed > 0 ? finish(it, time) : std::next(it);
}

void Alarms::keep_only(const std::set<std::string>& sources, double time) {
  for (auto it = standing_.begin(); it != standing_.end();)
    it = sources.contains(std::get<0>(it->first)) ? std::next(it) : finish(it, time);
}

void Alarms::acknowledge(std::int64_t number, const std::string& actor, const std::string& reason, double time) {
  const auto found =
      std::find_if(standing_.begin(), standing_.end(), [&](const auto& entry) { return entry.second.row.n == number; });
  if (found == standing_.end())
    throw Error(ErrorCode::not_found, "no alarm {} stands{}", number,
                number > 0 && number <= last_ ? ": it is over" : "");
  auto& row = found->second.row;
  row.actor = actor;
  row.acknowledged = time;
  row.reason = reason;
  tell(found->second, Change::What::acknowledged, time);
}

std::vector<store::AlarmRow> Alarms::standing() const {
  std::vector<store::AlarmRow> list;
  for (const auto& [key, alarm] : standing_) list.push_back(alarm.row);
  std::sort(list.begin(), list.end(), [](const auto& a, const auto& b) { return a.n < b.n; });
  return list;
}

}  // namespace frazil::engine
