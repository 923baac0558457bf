#include "frazil/flow/foresight.hpp"

#include <algorithm>
#include <optional>

namespace frazil::flow {
namespace {

/// Surroundings of a step that is asked before it runs: it may read files, and nothing else.
class Ahead final : public Context {
 public:
  explicit Ahead(std::filesystem::path base) : base_(std::move(base)) {}
  std::filesystem::path output(std::string_view) override { refuse(); }
  std::string reference(std::string_view) const override { refuse(); }
  std::filesystem::path input(const std::string& reference) const override { return base_ / reference; }
  std::filesystem::path scratch() override { refuse(); }
  int threads() const override { return 1; }
  Rng rng() const override { return Rng(1); }
  void check_cancelled() const override {}
  void progress(double, std::string_view) override {}

 private:
  [[noreturn]] static void refuse() { throw Error(ErrorCode::bug, "what is foreseen writes no files"); }
  std::filesystem::path base_;
};

/// The records that a step would get for the samples; none if it takes something that is not known yet.
std::optional<Records> inputs_from(const PlannedStep& step, const Samples& samples) {
  Records records;
  for (const auto& input : step.inputs) {
    const auto known = std::find_if(input.from.begin(), input.from.end(),
                                    [&](const Endpoint& from) { return samples.contains(from.step); });
    if (known != input.from.end())
      records.emplace_back(input.port, std::vector<Json>{samples.at(known->step)});
    else if (!input.optional)
      return std::nullopt;
  }
  return records.empty() ? std::nullopt : std::optional(std::move(records));
}

/// Two steps that use one file say the same of it.
void take_new(std::vector<Finding>& list, std::vector<Finding> more) {
  for (auto& finding : more)
    if (std::none_of(list.begin(), list.end(), [&](const Finding& f) { return f.text == finding.text; }))
      list.push_back(std::move(finding));
}

/// What a step gives on none of the samples, by port.
std::vector<Withheld> withheld_by(const PlannedStep& step, const Samples& samples) {
  if (!step.protocol->withholds || takes_lists(step.protocol->shape)) return {};
  const auto inputs = inputs_from(step, samples);
  return inputs ? step.protocol->withholds(step.params, *inputs) : std::vector<Withheld>{};
}

/// Finds out about one step after another, in the order of the plan.
class Starvation {
 public:
  Starvation(const Plan& plan, const Samples& samples) : plan_(plan) {
    for (const auto& step : plan.steps) {
      withheld_.push_back(withheld_by(step, samples));
      found_.push_back(of(step));
    }
  }
  [[nodiscard]] std::vector<Starved> found() && { return std::move(found_); }

 private:
  /// Why a set never has an item.
  [[nodiscard]] Starved empty(const Endpoint& from) const {
    const auto index = static_cast<std::size_t>(from.step);
    const auto& step = plan_.steps[index];
    if (!found_[index].reason.empty()) return {step.name + " has none either", false};
    const auto& port = step.protocol->outputs[static_cast<std::size_t>(from.port)].name;
    for (const auto& withheld : withheld_[index])
      if (withheld.port == port) return {fmt::format("{} gives no {}: {}", step.name, port, withheld.reason), true};
    return {};
  }

  [[nodiscard]] Starved of(const PlannedStep& step) const {
    for (const auto& input : step.inputs) {
      if (input.optional) continue;
      Starved last;
      for (const auto& from : input.from)
        if (last = empty(from); last.reason.empty()) break;
      if (!last.reason.empty()) return {fmt::format("has no input on {}: {}", input.port, last.reason), last.is_first};
    }
    for (const auto& from : step.where)
      if (const auto none = empty(from); !none.reason.empty()) return {"has no input: " + none.reason, none.is_first};
    return {};
  }

  const Plan& plan_;
  std::vector<std::vector<Withheld>> withheld_;
  std::vector<Starved> found_;
};

}  // namespace

double bytes_written(const Plan& plan, const Samples& samples) {
  double bytes = 0;
  for (const auto& step : plan.steps)
    if (step.protocol->bytes_written && !takes_lists(step.protocol->shape))
      if (const auto inputs = inputs_from(step, samples)) bytes += step.protocol->bytes_written(step.params, *inputs);
  return bytes;
}

Foresight foresee(const Plan& plan, const Samples& samples, const std::filesystem::path& base) {
  const Ahead context(base);
  Foresight all;
  for (const auto& step : plan.steps) {
    if (!step.protocol->foresee || takes_lists(step.protocol->shape)) continue;
    const auto inputs = inputs_from(step, samples);
    if (!inputs) continue;
    auto one = step.protocol->foresee(step.params, *inputs, context);
    take_new(all.problems, std::move(one.problems));
    take_new(all.findings, std::move(one.findings));
  }
  return all;
}

std::vector<Starved> starved(const Plan& plan, const Samples& samples) { return Starvation(plan, samples).found(); }

}  // namespace frazil::flow
