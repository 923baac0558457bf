#include "frazil/bundle/recompute.hpp"

#include <poll.h>
#include <stdlib.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <map>

#include "frazil/base/files.hpp"
#include "frazil/base/finite.hpp"
#include "frazil/base/hash.hpp"
#include "frazil/base/random.hpp"
#include "frazil/engine/lease.hpp"
#include "frazil/exec/local_pool.hpp"
#include "frazil/flow/workflow.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/store/project.hpp"

namespace frazil::bundle {
namespace {

namespace fs = std::filesystem;

constexpr int reserved_mib = 1 << 20;  // one task at a time: no need to share memory out
constexpr double tolerance = 1e-3;     // of an image's standard deviation, between CPU targets

flow::Plan stored_plan(store::Project& store, const flow::Registry& registry) {
  std::vector<flow::Problem> problems;
  const auto workflow = flow::parse_workflow(store.get("workflow").value_or(""), problems);
  auto plan = flow::make_plan(workflow, registry, Json::parse(store.get("values").value_or("{}")), problems);
  if (!problems.empty())
    throw Error(ErrorCode::bad_input, "the stored workflow does not fit this program:\n{}", flow::describe(problems));
  return plan;
}

/// The stored inputs by port: a task keeps them in the order of its ports.
exec::RecordTexts inputs_of(store::Project& store, const store::TaskRow& task, const flow::Protocol& protocol) {
  exec::RecordTexts ports;
  const auto numbers = Json::parse(task.inputs);
  std::size_t next = 0;
  for (const auto& port : protocol.inputs) {
    std::vector<std::string> texts;
    while (next < numbers.size()) {
      const auto item = store.item(numbers[next].get<std::int64_t>());
      const bool whole = !texts.empty() && !port.many && !flow::takes_lists(protocol.shape);
      if (item.kind != port.kind || whole) break;
      texts.push_back(item.record);
      ++next;
    }
    if (!texts.empty()) ports.emplace_back(port.name, std::move(texts));
  }
  return ports;
}

/// Largest difference of two images over the standard deviation of the first; infinite when sizes differ.
double difference(const fs::path& a, const fs::path& b) {
  const io::StackReader first(a), second(b);
  if (first.info().nx != second.info().nx || first.info().ny != second.info().ny || first.info().nz != second.info().nz)
    return INFINITY;
  double sum = 0, squares = 0, worst = 0, count = 0;
  for (int i = 0; i < first.info().nz; ++i) {
    const auto x = first.read(i), y = second.read(i);
    for (std::size_t p = 0; p < x.size(); ++p) {
      const double value = x.pixels()[p];
      sum += value;
      squares += value * value;
      worst = std::max(worst, std::abs(value - double{y.pixels()[p]}));
    }
    count += static_cast<double>(x.size());
  }
  const double sigma = std::sqrt(at_least_zero(squares / count - sum / count * sum / count));
  return worst == 0 ? 0 : worst / sigma;
}

struct Case {
  store::TaskRow task;
  std::string folder;  ///< of its outputs, relative to the project; empty: none
};

std::string output_folder(store::Project& store, const store::TaskRow& task) {
  const auto end = "_" + task.key.substr(0, 8);
  for (const auto& [port, n] : task.outputs) {
    const auto record = Json::parse(store.record(n));
    for (const auto& [key, value] : record.items())
      if (value.is_string() && value.get<std::string>().starts_with("steps/"))
        if (const auto folder = fs::path(value.get<std::string>()).parent_path(); folder.string().ends_with(end))
          return folder.string();
  }
  return {};
}

/// A private folder in which a project is seen through links, with a place of its own for what is made: the project
/// itself stays as it is.
class Mirror {
 public:
  explicit Mirror(const fs::path& project) {
    auto name = (fs::temp_directory_path() / "frazil-verify-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr)
      throw Error(ErrorCode::io, "{}: cannot be made: {}", name, std::strerror(errno));
    folder_ = name;
    for (const auto& entry : fs::directory_iterator(project))
      if (const auto place = entry.path().filename(); place != "tmp" && place != "logs")
        fs::create_symlink(fs::absolute(entry.path()), folder_ / place);
    make_folders(folder_ / "tmp");
    make_folders(folder_ / "logs");
  }
  ~Mirror() {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  Mirror(const Mirror&) = delete;
  Mirror& operator=(const Mirror&) = delete;
  [[nodiscard]] const fs::path& folder() const { return folder_; }

 private:
  fs::path folder_;
};

class Comparer {
 public:
  /// @param project  where tasks run and their results are left
  Comparer(const fs::path& project, store::Project& store, const flow::Plan& plan, const RecomputeOptions& options)
      : project_(project),
        store_(store),
        plan_(plan),
        pool_({options.worker_command, project, std::make_shared<exec::Budget>(options.threads, reserved_mib)}),
        threads_(options.threads) {}

  Recomputed compare(const Case& done) {
    Recomputed result{Recomputed::State::same, done.task.step, done.task.label, {}};
    const auto skip = [&](std::string why) {
      result.state = Recomputed::State::skipped;
      result.text = std::move(why);
      return result;
    };
    const int index = plan_.find(done.task.step);
    if (index < 0) return skip("the step is not in the workflow any more");
    const auto& step = plan_.steps[static_cast<std::size_t>(index)];
    const auto& protocol = *step.protocol;
    if (protocol.version != done.task.version)
      return skip(fmt::format("made by version {} of {}, this program has {}", done.task.version, protocol.name,
                              protocol.version));
    if (protocol.shape == flow::Shape::iterate) return skip("is one call of an iteration; run the step anew instead");
    if (protocol.shape == flow::Shape::fold &&
        done.task.label.substr(done.task.label.size() - std::min<std::size_t>(6, done.task.label.size())) != "_v0001")
      return skip("goes on from an earlier version");
    exec::Task task;
    task.number = ++number_;
    task.protocol = protocol.name;
    task.device = step.device;
    task.params = step.params.dump();
    task.inputs = inputs_of(store_, done.task, protocol);
    task.seed = done.task.key;
    task.temporary = fmt::format("tmp/verify-{}", number_);
    task.reference = done.folder.empty() ? "steps/none" : done.folder;
    task.threads = threads_;
    const auto made = run(task);
    if (made.failed) {
      result.state = Recomputed::State::differs;
      result.text = "fails now: " + made.message;
    } else {
      compare_records(done.task, protocol, made, result);
      compare_files(done, task.temporary, made, result);
      if (result.state == Recomputed::State::differs && outdated(done.task, step))
        return skip("the step's parameters have changed since");
    }
    std::error_code ignored;
    fs::remove_all(project_ / task.temporary, ignored);
    return result;
  }

 private:
  exec::Result run(const exec::Task& task) {
    pool_.start({task});
    while (true) {
      pollfd file{pool_.descriptor(), POLLIN, 0};
      ::poll(&file, 1, 1000);
      for (auto& result : pool_.collect())
        if (result.number == task.number) return result;
    }
  }

  /// The stored record may belong to another set of parameters of the same step: there is then another task with its
  /// inputs.
  bool outdated(const store::TaskRow& task, const flow::PlannedStep& step) {
    bool other = false;
    store_.for_tasks([&](store::TaskRow&& row) {
      other = other || (row.step == step.name && row.inputs == task.inputs && row.key != task.key && row.n > task.n);
    });
    return other;
  }

  void compare_records(const store::TaskRow& task, const flow::Protocol& protocol, const exec::Result& made,
                       Recomputed& result) {
    const auto differs = [&](std::string text) {
      result.state = Recomputed::State::differs;
      result.text = std::move(text);
    };
    if (protocol.shape == flow::Shape::filter) {
      const auto decision = Json::parse(made.outputs.at(0).second.at(0));
      for (const auto& row : store_.decisions_of_task(task.key))
        if (row.accepted != decision.value("accepted", true)) differs("decides otherwise now");
      return;
    }
    std::size_t next = 0;
    for (const auto& [port, records] : made.outputs)
      for (const auto& text : records) {
        if (next >= task.outputs.size()) return differs("gives more results now");
        const auto stored = Json::parse(store_.record(task.outputs[next++].second)), now = Json::parse(text);
        if (stored == now) continue;
        for (const auto& [key, value] : stored.items())
          if (now.value(key, Json()) != value)
            differs(
                fmt::format("{}: {} is {} now, {} is stored", port, key, now.value(key, Json()).dump(), value.dump()));
      }
    if (next < task.outputs.size()) differs("gives fewer results now");
  }

  void compare_files(const Case& done, const std::string& temporary, const exec::Result& made, Recomputed& result) {
    if (done.folder.empty() || !made.has_files) return;
    for (const auto& entry : fs::recursive_directory_iterator(project_ / temporary)) {
      if (!entry.is_regular_file()) continue;
      const auto place = entry.path().lexically_relative(project_ / temporary);
      const auto stored = project_ / done.folder / place;
      if (!fs::exists(stored)) {
        result.state = Recomputed::State::differs;
        result.text = fmt::format("{}/{} is not there", done.folder, place.string());
      } else if (hash_file(stored) != hash_file(entry.path())) {
        const bool image = place.extension() == ".mrc" || place.extension() == ".mrcs";
        const double worst = image ? difference(stored, entry.path()) : INFINITY;
        const bool other_cpu = done.task.target != made.target;
        if (image && (worst == 0 || (other_cpu && worst < tolerance))) {
          if (result.state == Recomputed::State::same) result.state = Recomputed::State::within_tolerance;
          result.text = worst == 0 ? place.string() + ": the same pixels under another header"
                                   : fmt::format("{}: differs by {:.1e} standard deviations ({} then, {} now)",
                                                 place.string(), worst, done.task.target, made.target);
        } else {
          result.state = Recomputed::State::differs;
          result.text = fmt::format("{}/{} has other content", done.folder, place.string());
        }
      }
    }
  }

  const fs::path& project_;
  store::Project& store_;
  const flow::Plan& plan_;
  exec::LocalPool pool_;
  int threads_;
  std::uint64_t number_ = 0;
};

}  // namespace

std::vector<Recomputed> recompute(const fs::path& project, const flow::Registry& registry,
                                  const RecomputeOptions& options,
                                  const std::function<void(const Recomputed&)>& report) {
  if (!fs::exists(project / "project.frazil"))
    throw Error(ErrorCode::not_found, "{}: there is no project here", project.string());
  if (const auto holder = engine::lease_holder(project))
    throw Error(ErrorCode::resource, "{}: an engine works on this project (process {} on {}): stop it first",
                project.string(), holder->pid, holder->host);
  store::Project store(project, store::Access::read);
  const Mirror mirror(project);
  const auto plan = stored_plan(store, registry);
  std::vector<Case> cases;
  store.for_tasks([&](store::TaskRow&& row) {
    if (!row.failed) cases.push_back({std::move(row), {}});
  });
  Rng rng(options.seed);
  for (std::size_t i = 0; i < cases.size() && i < static_cast<std::size_t>(options.sample); ++i)
    std::swap(cases[i], cases[i + static_cast<std::size_t>(rng.below(cases.size() - i))]);
  cases.resize(std::min(cases.size(), static_cast<std::size_t>(options.sample)));
  Comparer comparer(mirror.folder(), store, plan, options);
  std::vector<Recomputed> results;
  for (auto& done : cases) {
    done.folder = output_folder(store, done.task);
    results.push_back(comparer.compare(done));
    report(results.back());
  }
  return results;
}

}  // namespace frazil::bundle
