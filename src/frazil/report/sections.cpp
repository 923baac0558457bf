#include "frazil/report/sections.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "frazil/base/statistics.hpp"
#include "frazil/base/words.hpp"
#include "frazil/engine/settings.hpp"
#include "frazil/model/kinds.hpp"
#include "frazil/model/reasons.hpp"

namespace frazil::report {
namespace {

constexpr std::size_t most_files = 200;  ///< that came to no item and are listed

Json row_of(std::string label, double count) {
  return {{"label", std::move(label)}, {"count", count}, {"reasons", Json::array()}};
}

void add_reason(Json& row, const std::string& reason, double count) {
  if (count > 0) row["reasons"].push_back({{"reason", reason}, {"count", count}});
}

std::string word_of(std::string_view kind) {
  const auto* found = find_kind(kind);
  return found == nullptr || found->facts.one.empty() ? "item" : std::string(found->facts.one);
}

/// The plural alone: "movies".
std::string many(const std::string& one) { return counted(2, one).substr(2); }

bool is_empty(const Json& value) { return value.is_null() || value == ""; }

/// Seconds of the last tasks of a step, the median of a hundred; null when none has ended.
Json usual_seconds(const engine::Reading& reading, int index) {
  const auto& state = *reading.state;
  const auto& step = state.step(index);
  std::vector<double> seconds;
  for (auto subject = state.by_order->rbegin(); subject != state.by_order->rend() && seconds.size() < 100; ++subject)
    if (const auto task = step.tasks[*subject]; task > 0)
      reading.reader.for_task(task, [&](const store::TaskRow& row) { seconds.push_back(row.seconds); });
  for (auto made = step.made.rbegin(); made != step.made.rend() && seconds.size() < 100; ++made)
    reading.reader.for_task(made->task, [&](const store::TaskRow& row) { seconds.push_back(row.seconds); });
  return seconds.empty() ? Json() : Json(median(std::move(seconds)));
}

/// A step's parameters as they are in force: given or default.
Json values_of(const flow::PlannedStep& planned) {
  Json values = Json::array();
  for (const auto& info : planned.protocol->params) {
    const auto found = planned.params.find(info.name);
    const bool is_given = found != planned.params.end();
    const Json& value = is_given ? *found : info.default_value;
    if (is_empty(value) || value.is_object()) continue;
    values.push_back({{"title", info.help},
                      {"name", planned.name + "." + info.name},
                      {"value", flow::value_text(value)},
                      {"unit", info.unit},
                      {"given", is_given && value != info.default_value}});
  }
  return values;
}

}  // namespace

std::string title(const engine::Head& head) {
  if (const auto name = head.plan.values.value("project_name", Json()); name.is_string() && name != "")
    return name.get<std::string>();
  const auto folder = head.folder.filename().string();
  return folder.empty() ? "frazil project" : folder;
}

std::string subtitle(const engine::Head& head) {
  std::string text = head.plan.title;
  for (const auto* key : {"sample", "user"})
    if (const auto value = head.plan.values.value(key, Json()); value.is_string() && value != "")
      text += (text.empty() ? "" : " · ") + value.get<std::string>();
  return text;
}

Json summary(const engine::State& state, const Json& micrographs, const Json& classes, const Json& volumes) {
  Json tiles = Json::array();
  const auto add = [&](std::string value, std::string label) {
    tiles.push_back({{"value", std::move(value)}, {"label", std::move(label)}});
  };
  const auto& account = state.live.status.account;
  for (const auto& source : account.sources) {
    add(grouped(source.items), many(word_of(source.kind)) + " taken in");
    add(grouped(source.kept), source.restored > 0 ? fmt::format("kept, {} of them restored", source.restored) : "kept");
    add(grouped(source.set_aside), "set aside");
    if (source.held > 0) add(grouped(source.held), "held, to be decided");
    if (source.failed > 0) add(grouped(source.failed), "failed");
    if (source.in_work > 0) add(grouped(source.in_work), "in work");
    if (const int lost = source.broken + source.incomplete; lost > 0) add(grouped(lost), "files broken or incomplete");
  }
  std::vector<double> drift, defocus, rings;
  for (const auto& m : micrographs) {
    if (m.contains("motion")) drift.push_back(m.at("motion").value("total_path_A", 0.0));
    if (!m.contains("ctf")) continue;
    defocus.push_back((m.at("ctf").value("defocus_u_A", 0.0) + m.at("ctf").value("defocus_v_A", 0.0)) / 2e4);
    rings.push_back(m.at("ctf").value("fit_resolution_A", 0.0));
  }
  if (!drift.empty()) add(fmt::format("{:.1f} Å", median(drift)), "median drift");
  if (!defocus.empty()) add(fmt::format("{:.2f} µm", median(defocus)), "median defocus");
  if (!rings.empty()) add(fmt::format("{:.1f} Å", median(rings)), "Thon rings reach (median)");
  double particles = 0;
  std::string from;
  for (const auto& a : account.amounts)
    if (a.kind == "Particles" && a.passed > 0) particles = a.passed, from = a.title;
  if (particles > 0) add(grouped(particles), "particles after: " + from);
  if (!classes.is_null()) {
    const auto& list = classes.at("list");
    const auto kept = std::count_if(list.begin(), list.end(), [](const Json& c) { return c.value("selected", true); });
    const auto others = static_cast<std::ptrdiff_t>(list.size()) - kept;
    add(grouped(static_cast<double>(kept)),
        others > 0 ? fmt::format("2D classes kept, {} not", others) : std::string("2D classes"));
  }
  for (const auto& volume : volumes)
    if (volume.value("resolution_A", 0.0) > 0)
      add(fmt::format("{:.1f} Å", volume.at("resolution_A").get<double>()), "initial volume");
  return tiles;
}

Json pulse(const engine::State& state) {
  const auto& status = state.live.status;
  return {{"came", status.rate.arrived},
          {"through", status.rate.through},
          {"window_s", status.rate.window_s},
          {"behind", status.behind}};
}

Json item_funnel(const engine::State& state) {
  Json rows = Json::array();
  for (const auto& source : state.live.status.account.sources) {
    const auto word = many(word_of(source.kind));
    auto seen = row_of("files seen", source.files);
    add_reason(seen, "incomplete", source.incomplete);
    add_reason(seen, "broken", source.broken);
    add_reason(seen, "of the same content as another", source.duplicates);
    add_reason(seen, "left out: no part of the session", source.left_out);
    add_reason(seen, "written anew later", source.replaced);
    rows.push_back(std::move(seen));
    rows.push_back(row_of(word + " taken in", source.items));
    double left = source.items;
    for (const auto& planned : state.head->plan.steps) {
      auto row = row_of("past: " + planned.title, 0);
      double lost = 0;
      const auto take = [&](const std::vector<engine::Counted>& list, std::string_view what) {
        for (const auto& one : list)
          if (one.step == planned.name) {
            lost += one.count;
            add_reason(row, one.reason.empty() ? std::string(what) : fmt::format("{}: {}", what, one.reason),
                       one.count);
          }
      };
      take(source.failed_at, "failed");
      take(source.aside_by, "set aside");
      take(source.held_by, "held");
      take(source.in_work_at, "not yet through");
      if (lost == 0 && planned.protocol->shape != flow::Shape::filter) continue;
      left -= lost;
      row["count"] = left;
      rows.push_back(std::move(row));
    }
    auto kept = row_of("kept", source.kept);
    if (source.restored > 0) kept["note"] = fmt::format("{} of them restored by people", source.restored);
    rows.push_back(std::move(kept));
  }
  return rows;
}

Json amount_funnel(const engine::State& state) {
  Json rows = Json::array();
  for (const auto& a : state.live.status.account.amounts) {
    if (a.entered <= 0) continue;
    auto row = row_of(a.title, a.passed);
    if (!a.is_first) row["of"] = a.entered;
    double told = 0;
    for (const auto& reason : a.reasons) {
      add_reason(row, reason_in_words(reason.reason), reason.count);
      told += reason.count;
    }
    add_reason(row, "set aside", a.set_aside + a.left_out - told);
    add_reason(row, "waiting", a.waiting);
    add_reason(row, "in failed tasks", a.failed);
    rows.push_back(std::move(row));
  }
  return rows;
}

Json other_files(const engine::State& state) {
  std::map<std::pair<std::string, std::string>, const engine::FileView*> last;
  for (int i = 0; i < state.file_count; ++i) {
    const auto& file = *state.files[i];
    last[{file.step, file.path}] = &file;
  }
  Json list = Json::array();
  std::size_t more = 0;
  const auto add = [&](const std::string& path, const std::string& what, const std::string& reason) {
    if (list.size() < most_files)
      list.push_back({{"path", path}, {"state", what}, {"reason", reason}});
    else
      ++more;
  };
  for (std::size_t i = 0; i < state.live.growing.size(); ++i)
    for (const auto& [path, reason] : state.live.growing[i])
      add(path, "incomplete", reason.empty() ? "is still being written" : reason);
  for (const auto* wanted : {"broken", "duplicate", "excluded"})
    for (const auto& [key, file] : last)
      if (file->state == wanted) add(file->path, file->state == "excluded" ? "left out" : file->state, file->reason);
  return {{"list", std::move(list)}, {"more", more}};
}

Json settings(const engine::Head& head) {
  Json values = Json::array(), list = Json::array();
  for (const auto& row : engine::settings_of(head)) {
    if (is_empty(row.at("value"))) continue;
    values.push_back({{"name", row.at("name")},
                      {"title", row.at("title")},
                      {"value", flow::value_text(row.at("value"))},
                      {"unit", row.at("value").is_number() ? row.at("unit") : Json("")},
                      {"from", row.at("time").is_null() ? Json() : Json(flow::value_text(row.at("from")))},
                      {"actor", row.at("actor")},
                      {"time", row.at("time")}});
  }
  for (const auto& planned : head.plan.steps)
    if (auto params = values_of(planned); !params.empty())
      list.push_back({{"step", planned.name},
                      {"title", planned.title},
                      {"filter", planned.protocol->shape == flow::Shape::filter},
                      {"values", std::move(params)}});
  return {{"values", std::move(values)}, {"steps", std::move(list)}};
}

Json steps(const engine::Reading& reading) {
  Json list = Json::array();
  int index = 0;
  for (const auto& step : reading.state->live.status.steps)
    list.push_back({{"name", step.name},
                    {"title", step.title},
                    {"note", step.note},
                    {"done", step.done},
                    {"running", step.running},
                    {"waiting", step.waiting + step.queued},
                    {"failed", step.failed},
                    {"seconds", usual_seconds(reading, index++)}});
  return list;
}

}  // namespace frazil::report
