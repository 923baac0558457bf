#include "frazil/engine/probe.hpp"

#include <sys/statvfs.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "frazil/base/finite.hpp"
#include "frazil/engine/listing.hpp"
#include "frazil/engine/places.hpp"
#include "frazil/engine/stream_findings.hpp"
#include "frazil/engine/watcher.hpp"
#include "frazil/flow/foresight.hpp"

namespace frazil::engine {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t most_read = 3;       // files of each source that are read
constexpr double usual_per_hour = 300;     // as fast cameras record, where the files do not tell
constexpr double enough_hours = 12;        // a night
constexpr std::int64_t reserve_mib = 200;  // what engines leave free

/// The workflow's parameter that a step takes as it is; step.parameter if there is none.
std::string outer_name(const flow::Workflow& workflow, const std::string& step, const std::string& parameter) {
  for (const auto& [name, json] : workflow.steps)
    if (const auto params = json.find("params"); name == step && params != json.end() && params->is_object())
      for (const auto& outer : workflow.parameters)
        if (params->value(parameter, Json()) == "${" + outer.name + "}") return outer.name;
  return step + "." + parameter;
}

/// The files of a source, without those that are left out.
Listing list_source(const flow::Watch& watch) {
  const auto [folder, pattern] = split_pattern(watch.files);
  auto listing = list_files(
      folder, [&, &wanted = pattern](const std::string& path) { return fits(watch, wanted, path); },
      [](const fs::path&) {});
  std::erase_if(listing.files,
                [&](const Listing::File& file) { return excluded_by(watch.exclude, file.path) != nullptr; });
  return listing;
}

/// Files per hour as the times of the last ones tell.
double rate_of(const std::vector<Listing::File>& files) {
  constexpr std::size_t window = 50;
  std::vector<std::int64_t> times;
  for (const auto& file : files) times.push_back(file.state.mtime_ns);
  std::sort(times.begin(), times.end());
  if (times.size() > window) times.erase(times.begin(), times.end() - window);
  const double hours = times.size() < 5 ? 0 : static_cast<double>(times.back() - times.front()) / 3.6e12;
  const double rate = hours > 0 ? static_cast<double>(times.size() - 1) / hours : 0;
  return rate >= 10 && rate <= 3000 ? rate : usual_per_hour;  // else they were copied, or lie there for long
}

/// Reads the start of one source after another.
class Prober {
 public:
  Prober(const flow::Workflow& workflow, const flow::Plan& plan, Probe& result)
      : workflow_(workflow), plan_(plan), result_(result) {}

  void look_at(int index) {
    const auto& step = plan_.steps[static_cast<std::size_t>(index)];
    const auto watch = step.protocol->source.watch(step.params);
    const auto listing = list_source(watch);
    for (const auto& left : listing.unread)
      if (left.path.empty()) result_.problems.push_back({step.name, left.reason});
    result_.sources.push_back({step.name, watch.files, static_cast<int>(listing.files.size()), {}, {}});
    if (listing.files.empty()) return tell_none(step, watch);
    if (watch.expected > 0) expected_ = std::max(expected_, watch.expected);
    rate_ = rate_of(listing.files);
    read_first(index, listing.files);
  }

  /// What follows from what was read.
  void conclude(const fs::path& project) {
    for (auto& [index, samples] : samples_) foresee(index, samples);
    flow::Samples last;
    for (const auto& [index, samples] : samples_) last[index] = samples.back();
    const auto starved = flow::starved(plan_, last);
    for (std::size_t i = 0; i < starved.size(); ++i)
      if (!starved[i].reason.empty() && starved[i].is_first)
        result_.findings.push_back({.kind = AlarmKind::task,
                                    .about = plan_.steps[i].name,
                                    .text = plan_.steps[i].name + " " + starved[i].reason,
                                    .advice = "Set what is missing, or let the step read another set"});
    look_at_disk(project, flow::bytes_written(plan_, last));
  }

 private:
  /// Files that are there, but not one that fits.
  void tell_none(const flow::PlannedStep& step, const flow::Watch& watch) {
    const auto [folder, pattern] = split_pattern(watch.files);
    std::map<std::string, int> kinds;
    const auto all = list_files(
        folder, [](const std::string&) { return true; }, [](const fs::path&) {});
    for (const auto& file : all.files)
      if (const auto extension = file.file.extension().string();
          std::find(watch.extensions.begin(), watch.extensions.end(), extension) != watch.extensions.end() ||
          pattern.empty())
        ++kinds[extension];
    if (kinds.empty()) return;
    std::string seen;
    for (const auto& [extension, count] : kinds)
      seen += fmt::format("{}{} *{}", seen.empty() ? "" : ", ", count, extension);
    result_.findings.push_back(
        {.kind = AlarmKind::files,
         .about = step.name,
         .text = pattern.empty()
                     ? fmt::format("{}: nothing there is what {} takes; there are {}", folder.string(), step.name, seen)
                     : fmt::format("{}: no file fits; there are {}", watch.files, seen),
         .seen = seen,
         .expected = watch.files,
         .advice = "Look whether this is the right folder and pattern"});
  }

  void read_first(int index, const std::vector<Listing::File>& files) {
    const auto& step = plan_.steps[static_cast<std::size_t>(index)];
    const auto& source = step.protocol->source;
    StreamFindings stream;
    std::string refusal;
    std::size_t tried = 0;
    for (const auto& file : in_reading_order(files)) {
      if (samples_[index].size() >= most_read || ++tried > 3 * most_read) break;
      try {
        if (source.check(file->file).state != flow::FileCheck::State::complete) continue;
        auto record = source.record(file->file, file->file.string(), step.params);
        if (source.contradictions) stream.add(file->path, source.contradictions(record, step.params));
        if (samples_[index].empty()) note_first(index, *file, record);
        samples_[index].push_back(std::move(record));
      } catch (const Error& error) {
        if (refusal.empty()) refusal = error.what();
      }
    }
    for (auto& finding : stream.standing()) result_.findings.push_back(std::move(finding));
    if (!samples_[index].empty()) return;
    samples_.erase(index);
    if (!refusal.empty()) result_.problems.push_back({step.name, "no file can be read: " + refusal});
  }

  /// First, last, second: what has changed on the way is seen.
  static std::vector<const Listing::File*> in_reading_order(const std::vector<Listing::File>& files) {
    std::vector<const Listing::File*> order = {&files.front()};
    if (files.size() > 1) order.push_back(&files.back());
    for (std::size_t i = 1; i + 1 < files.size() && i < 3 * most_read; ++i) order.push_back(&files[i]);
    return order;
  }

  void note_first(int index, const Listing::File& file, const Json& record) {
    const auto& step = plan_.steps[static_cast<std::size_t>(index)];
    result_.sources.back().first = file.path;
    result_.sources.back().record = record;
    if (!step.protocol->source.told) return;
    for (const auto& told : step.protocol->source.told(record, step.params)) {
      const auto& fields = step.protocol->params;
      const auto field =
          std::find_if(fields.begin(), fields.end(), [&](const FieldInfo& f) { return f.name == told.parameter; });
      const bool is_free = field != fields.end() && field->default_value.is_null();
      const auto name = outer_name(workflow_, step.name, told.parameter);
      auto unit = field == fields.end() ? std::string() : field->unit;
      for (const auto& parameter : workflow_.parameters)
        if (unit.empty() && parameter.name == name) unit = parameter.unit;
      result_.told.push_back(
          {name, std::move(unit), told.value, told.from, is_free && !step.params.contains(told.parameter)});
    }
  }

  /// What stops all of the files is a problem; what stops some is a finding.
  void foresee(int index, const std::vector<Json>& samples) {
    std::optional<std::vector<Finding>> always;
    for (const auto& record : samples) {
      auto seen = flow::foresee(plan_, {{index, record}}, {});
      for (auto& finding : seen.findings) take_new(result_.findings, std::move(finding));
      for (const auto& problem : seen.problems) take_new(stops_, problem);
      if (!always) always = seen.problems;
      std::erase_if(*always, [&](const Finding& problem) {
        return std::none_of(seen.problems.begin(), seen.problems.end(),
                            [&](const Finding& other) { return is_same(problem, other); });
      });
    }
    for (auto& stop : std::exchange(stops_, {})) {
      const bool is_certain =
          std::any_of(always->begin(), always->end(), [&](const Finding& f) { return is_same(f, stop); });
      if (is_certain)
        result_.problems.push_back({std::string(name_of(stop.kind)), stop.text + ". " + stop.advice});
      else
        result_.findings.push_back(std::move(stop));
    }
  }

  static bool is_same(const Finding& a, const Finding& b) { return a.kind == b.kind && a.about == b.about; }
  static void take_new(std::vector<Finding>& list, Finding finding) {
    if (std::none_of(list.begin(), list.end(), [&](const Finding& f) { return is_same(f, finding); }))
      list.push_back(std::move(finding));
  }

  void look_at_disk(const fs::path& project, double bytes_per_file) {
    auto folder = fs::absolute(project);
    std::error_code ignored;
    while (!fs::is_directory(folder, ignored) && folder.has_relative_path()) folder = folder.parent_path();
    struct statvfs info {};
    if (::statvfs(folder.c_str(), &info) != 0) return;
    result_.free_bytes = static_cast<double>(info.f_bavail) * static_cast<double>(info.f_frsize);
    result_.bytes_per_file = bytes_per_file;
    if (!(bytes_per_file > 0)) return;
    const double space = at_least_zero(result_.free_bytes - static_cast<double>(reserve_mib << 20));
    const double files = std::floor(space / bytes_per_file), hours = files / rate_;
    const bool is_short = expected_ > 0 ? files < expected_ : hours < enough_hours;
    if (!is_short) return;
    result_.findings.push_back(
        {.kind = AlarmKind::disk,
         .text =
             fmt::format("the disk of {} has space for the results of at most {:.0f} files{}", folder.string(), files,
                         expected_ > 0 ? fmt::format(", {} are expected", expected_)
                                       : fmt::format(", {:.1f} hours at {:.0f} an hour", hours, rate_)),
         .seen = fmt::format("{:.3g} GiB free", result_.free_bytes / (1 << 30)),
         .expected = fmt::format("{:.0f} MiB a file", bytes_per_file / (1 << 20)),
         .advice = "Free some space, or put the project on another disk"});
  }

  const flow::Workflow& workflow_;
  const flow::Plan& plan_;
  Probe& result_;
  std::map<int, std::vector<Json>> samples_;
  std::vector<Finding> stops_;
  int expected_ = 0;
  double rate_ = usual_per_hour;
};

/// What is missing of required values, with what the files tell of it.
void complete_problems(Probe& result) {
  for (auto& problem : result.problems)
    for (const auto& told : result.told)
      if (problem.place == "parameters." + told.parameter)
        problem.text +=
            fmt::format("; {} says {:.4g}{}{}", told.from, told.value, told.unit.empty() ? "" : " ", told.unit);
}

}  // namespace

Probe probe(const flow::Workflow& workflow, const Json& values, const flow::Registry& registry,
            const fs::path& project) {
  Probe result;
  auto plan = flow::make_plan(workflow, registry, values, result.problems);
  const bool is_whole = result.problems.empty();
  if (!is_whole) {  // what the files tell helps to complete it
    std::vector<flow::Problem> others;
    plan = flow::make_plan(workflow, registry, values, others, true);
    if (!others.empty()) return result;
  }
  std::vector<std::string> known;
  if (fs::exists(project / "project.frazil"))
    for (const auto& step : plan.steps)
      if (std::error_code ignored; fs::exists(project / "raw" / step.name, ignored)) known.push_back(step.name);
  auto places = place_problems(project, plan, known);
  Prober prober(workflow, plan, result);
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    const auto& step = plan.steps[i];
    if (step.protocol->shape == flow::Shape::source &&
        std::none_of(places.begin(), places.end(), [&](const flow::Problem& p) { return p.place == step.name; }))
      prober.look_at(static_cast<int>(i));
  }
  if (!is_whole)
    result.findings.clear();  // of values that stand in for missing ones
  else if (places.empty())
    prober.conclude(project);
  std::move(places.begin(), places.end(), std::back_inserter(result.problems));
  complete_problems(result);
  return result;
}

Json to_json(const Probe& probe) {
  Json problems = Json::array(), findings = Json::array(), told = Json::array(), sources = Json::array();
  for (const auto& p : probe.problems) problems.push_back({{"place", p.place}, {"text", p.text}});
  for (const auto& f : probe.findings) findings.push_back(record_to_json(f));
  for (const auto& t : probe.told)
    told.push_back(
        {{"parameter", t.parameter}, {"value", t.value}, {"unit", t.unit}, {"from", t.from}, {"taken", t.is_taken}});
  for (const auto& s : probe.sources)
    sources.push_back(
        {{"step", s.step}, {"files", s.files}, {"count", s.count}, {"first", s.first}, {"record", s.record}});
  return {{"problems", problems},
          {"findings", findings},
          {"told", told},
          {"sources", sources},
          {"bytes_per_file", probe.bytes_per_file},
          {"free_bytes", probe.free_bytes}};
}

}  // namespace frazil::engine
