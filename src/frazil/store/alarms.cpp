// The rows of alarms.
#include <algorithm>

#include "frazil/store/project.hpp"

namespace frazil::store {
namespace {

/// One that a later program has written and this one does not know is about a task.
AlarmKind kind_named(std::string_view name) {
  const auto& names = enum_names<AlarmKind>;
  const auto found = std::find(names.begin(), names.end(), name);
  return found == names.end() ? AlarmKind::task : static_cast<AlarmKind>(found - names.begin());
}

std::vector<AlarmRow> read_alarms(Query& query) {
  std::vector<AlarmRow> list;
  while (query.step()) {
    AlarmRow row;
    row.n = query.integer();
    row.source = query.text();
    row.finding.kind = kind_named(query.text());
    row.finding.about = query.text();
    row.finding.text = query.text();
    row.finding.seen = query.text();
    row.finding.expected = query.text();
    row.finding.advice = query.text();
    row.finding.sure = query.number();
    row.since = query.number();
    row.until = query.number();
    row.actor = query.text();
    row.acknowledged = query.number();
    row.reason = query.text();
    list.push_back(std::move(row));
  }
  return list;
}

}  // namespace

std::vector<AlarmRow> Reader::standing_alarms() {
  auto query = database_->query(
      "SELECT n, source, kind, about, text, seen, expected, advice, sure, since, until, actor, acknowledged, reason "
      "FROM alarm WHERE until = 0 ORDER BY n");
  return read_alarms(query);
}

std::vector<AlarmRow> Reader::alarms_after(std::int64_t n, int count) {
  auto query = database_->query(
      "SELECT n, source, kind, about, text, seen, expected, advice, sure, since, until, actor, acknowledged, reason "
      "FROM alarm WHERE n > ? ORDER BY n LIMIT ?");
  query.bind(n).bind(count);
  return read_alarms(query);
}

std::int64_t Reader::last_alarm() {
  auto query = database_->query("SELECT COALESCE(MAX(n), 0) FROM alarm");
  return query.step() ? query.integer() : 0;
}

void Project::put_alarm(const AlarmRow& alarm) {
  begin();
  const auto& finding = alarm.finding;
  database_
      ->query(
          "INSERT OR REPLACE INTO alarm (n, source, kind, about, text, seen, expected, advice, sure, since, until, "
          "actor, acknowledged, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
      .bind(alarm.n)
      .bind(alarm.source)
      .bind(name_of(finding.kind))
      .bind(finding.about)
      .bind(finding.text)
      .bind(finding.seen)
      .bind(finding.expected)
      .bind(finding.advice)
      .bind(finding.sure)
      .bind(alarm.since)
      .bind(alarm.until)
      .bind(alarm.actor)
      .bind(alarm.acknowledged)
      .bind(alarm.reason)
      .run();
}

std::int64_t Reader::last_event_before(double time) {
  auto query = database_->query("SELECT COALESCE(MAX(n), 0) FROM event WHERE time < ?");
  query.bind(time);
  return query.step() ? query.integer() : 0;
}

}  // namespace frazil::store
