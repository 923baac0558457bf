#include "frazil/flow/iterate.hpp"

#include <algorithm>
#include <cmath>
#include <deque>

namespace frazil::flow {
namespace {

constexpr std::string_view stage_names[] = {"start", "part", "step", "finish"};

/// Surroundings of one call: those of the whole, but for the folder of its outputs.
class StageContext final : public Context {
 public:
  StageContext(Context& whole, std::filesystem::path folder, std::string name)
      : whole_(whole), folder_(std::move(folder)), name_(std::move(name)) {}

  std::filesystem::path output(std::string_view name) override {
    const auto path = folder_ / name;
    std::filesystem::create_directories(path.parent_path());
    return path;
  }
  std::string reference(std::string_view name) const override { return (folder_ / name).string(); }
  std::filesystem::path input(const std::string& reference) const override {
    return std::filesystem::path(reference).is_absolute() ? std::filesystem::path(reference) : whole_.input(reference);
  }
  std::filesystem::path scratch() override {
    const auto folder = folder_.string() + ".scratch";
    std::filesystem::create_directories(folder);
    return folder;
  }
  void has_read(const std::string& reference, const std::string& content) override {
    whole_.has_read(reference, content);
  }
  int threads() const override { return whole_.threads(); }
  std::string gpus() const override { return whole_.gpus(); }
  std::string device() const override { return whole_.device(); }
  Rng rng() const override { return whole_.rng().stream(name_); }
  void check_cancelled() const override { whole_.check_cancelled(); }
  bool should_yield() const override { return whole_.should_yield(); }
  void progress(double, std::string_view) override {}
  Cache& cache() override { return whole_.cache(); }

 private:
  Context& whole_;
  std::filesystem::path folder_;
  std::string name_;
};

/// An iteration under way.
class Iteration {
 public:
  Iteration(const Protocol& protocol, const Json& params, Context& whole)
      : protocol_(protocol), params_(params), whole_(whole), folder_(std::filesystem::absolute(whole.scratch())) {}

  void start(Records inputs) {
    inputs.emplace_back(detail::stage_port, std::vector{to_record({Stage::start})});
    state_ = call({Stage::start}, "start", std::move(inputs)).at(0).second.at(0);
  }
  /// @return false when it is done
  bool step() {
    const int count = protocol_.iterate.parts(params_, state_);
    if (count == 0) return false;
    Records parts;
    if (!protocol_.iterate.part_kind.empty()) {
      parts.emplace_back(detail::part_port, std::vector<Json>{});
      for (int i = 0; i < count; ++i) {
        tell(i, count);
        parts.back().second.push_back(
            call({Stage::part, i, count}, fmt::format("{:05}-part-{:05}", round_, i)).at(0).second.at(0));
      }
    }
    tell(count, count);
    const auto name = fmt::format("{:05}", round_);
    state_ = call({Stage::step}, name, std::move(parts)).at(0).second.at(0);
    for (int i = 0; i < count; ++i) std::filesystem::remove_all(folder_ / fmt::format("{}-part-{:05}", name, i));
    kept_.push_back(name);
    if (static_cast<int>(kept_.size()) > protocol_.iterate.kept) {
      std::filesystem::remove_all(folder_ / kept_.front());
      kept_.pop_front();
    }
    ++round_;
    return true;
  }
  /// In the surroundings of the whole: its files stay.
  Records finish() {
    Records inputs, previous{{std::string(detail::state_port), {state_}}};
    inputs.emplace_back(detail::stage_port, std::vector{to_record({Stage::finish})});
    return protocol_.run(params_, inputs, &previous, whole_);
  }

 private:
  Records call(const StageCall& what, const std::string& name, Records inputs = {}) {
    whole_.check_cancelled();
    if (detail::find_port(inputs, detail::stage_port) == nullptr)
      inputs.emplace_back(detail::stage_port, std::vector{to_record(what)});
    StageContext context(whole_, folder_ / name, name);
    const Records previous{{std::string(detail::state_port), {state_}}};
    return protocol_.run(params_, inputs, what.stage == Stage::start ? nullptr : &previous, context);
  }
  void tell(int part, int count) {
    const double done = protocol_.iterate.fraction(params_, state_);
    whole_.progress(done, count > 1 ? fmt::format("step {}, part {} of {}", round_ + 1, part, count)
                                    : fmt::format("step {}", round_ + 1));
  }

  const Protocol& protocol_;
  const Json& params_;
  Context& whole_;
  std::filesystem::path folder_;
  Json state_;
  int round_ = 0;
  std::deque<std::string> kept_;
};

}  // namespace

Json to_record(const StageCall& call) {
  return {{"stage", stage_names[static_cast<int>(call.stage)]}, {"part", call.part}, {"count", call.count}};
}

StageCall stage_of(const Records& inputs) {
  const auto* list = detail::find_port(inputs, detail::stage_port);
  if (list == nullptr || list->empty()) throw Error(ErrorCode::bug, "an iteration is run call by call");
  const auto& record = list->front();
  const auto* const name =
      std::find(std::begin(stage_names), std::end(stage_names), record.at("stage").get<std::string>());
  if (name == std::end(stage_names)) throw Error(ErrorCode::bug, "{}: is no call of an iteration", record.dump());
  return {static_cast<Stage>(name - std::begin(stage_names)), record.value("part", 0), record.value("count", 0)};
}

Records run_iteration(const Protocol& protocol, const Json& params, const Records& inputs, Context& context) {
  Iteration iteration(protocol, params, context);
  iteration.start(inputs);
  while (iteration.step()) {
  }
  return iteration.finish();
}

}  // namespace frazil::flow
