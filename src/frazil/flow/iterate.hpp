// Work on a whole set that takes minutes to hours, cut into executions of minutes: start → step* → finish.
//
//   struct Refine {
//     static constexpr flow::Info info{…};
//     using Params = …;
//     using Input = Micrograph;      // as of a fold: the members of a closed list
//     using State = RefineState;     // a record: what one step hands to the next, files included
//     using Part = RefinePart;       // a record: what one part of a step gives; leave it out where steps have no parts
//     using Output = Volume;
//     Params params;
//     State start(const std::vector<Input>&, flow::Context&) const;
//     bool done(const State&) const;
//     Output finish(const State&, flow::Context&) const;
//     double fraction(const State&) const;                       // done of the whole, 0 to 1; may be left out
//     // a step in one piece …
//     State step(const State&, flow::Context&) const;
//     // … or scattered over any workers, and gathered in the order of the parts
//     int parts(const State&) const;                             // at least 1, the same on every machine
//     Part part(const State&, int index, int count, flow::Context&) const;
//     State gather(const State&, const std::vector<Part>&, flow::Context&) const;
//   };
//
// Each of these calls is a task of its own, with its key, its attempts and its share of the machine; what it returns is
// an ordinary item whose key follows from the state before and the parameters. So a kill costs the parts that were
// running, equal lists give equal bytes on any number of workers, and what is known already is not computed again.
// What must hold for that:
// - `done`, `parts` and `fraction` look at the state and the parameters alone, and are quick: the engine asks them.
// - Only `start` sees the members. What later calls need of them it writes down; files of `start` stay until the end.
// - A state names its own files and those of `start`, no others: of earlier states the last `info.kept` are kept, those
//   before are removed once a later one is committed, and the files of parts once they are gathered.
// - What `finish` returns names files of its own.
// - Live tasks come first: `check_cancelled` may pause a call for as long as others need its threads, and a call may be
//   stopped and started again. Call it at least every half second or so.
#pragma once

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "frazil/flow/protocol.hpp"

namespace frazil::flow {

namespace detail {

/// The input port that tells a call which one it is; the records on other ports depend on it.
inline constexpr std::string_view stage_port = "stage", state_port = "state", part_port = "part";

template <class P>
concept Scattered = requires {
  typename P::Part;
};

template <class P>
std::vector<typename P::Input> members_from(const Records& inputs) {
  std::vector<typename P::Input> members;
  const auto* first = inputs.empty() ? nullptr : &inputs.front().second;
  for (std::size_t i = 0; first != nullptr && i < first->size(); ++i)
    members.push_back(input_from<typename P::Input>(inputs, i));
  return members;
}

template <class P>
Json next_state(const P& instance, const typename P::State& state, const Records& inputs, Context& context) {
  if constexpr (Scattered<P>) {
    std::vector<typename P::Part> parts;
    if (const auto* list = find_port(inputs, part_port))
      for (const auto& json : *list) parts.push_back(record_from_json<typename P::Part>(json));
    return checked_json(instance.gather(state, parts, context), state_port);
  } else {
    return checked_json(instance.step(state, context), state_port);
  }
}

}  // namespace detail

/// Which call of an iteration a task is.
struct StageCall {
  Stage stage = Stage::start;
  int part = 0, count = 0;
};
/// As a record on the port `stage`.
[[nodiscard]] Json to_record(const StageCall& call);
/// @throws Error(bug) when there is none
[[nodiscard]] StageCall stage_of(const Records& inputs);

/// Erases the types of iteration P.
template <class P>
Protocol make_iterate() {
  Protocol protocol = detail::protocol_header<P>();
  protocol.shape = Shape::iterate;
  protocol.inputs = detail::ports_of<typename P::Input>();
  protocol.outputs = detail::ports_of<typename P::Output>();
  protocol.json_port = protocol.outputs.front().name;
  protocol.iterate.state_kind = P::State::kind;
  if constexpr (requires { P::kept; }) protocol.iterate.kept = P::kept;
  if constexpr (detail::Scattered<P>) protocol.iterate.part_kind = P::Part::kind;
  protocol.iterate.parts = [](const Json& json, const Json& state) -> int {
    const P instance{detail::parse_params<P>(json)};
    const auto record = record_from_json<typename P::State>(state);
    if (instance.done(record)) return 0;
    if constexpr (detail::Scattered<P>)
      return std::max(1, instance.parts(record));
    else
      return 1;
  };
  protocol.iterate.fraction = [](const Json& json, const Json& state) -> double {
    if constexpr (requires(const P& p, const typename P::State& s) { p.fraction(s); })
      return P{detail::parse_params<P>(json)}.fraction(record_from_json<typename P::State>(state));
    (void)json, (void)state;
    return std::numeric_limits<double>::quiet_NaN();
  };
  protocol.run = [](const Json& json, const Records& inputs, const Records* previous, Context& context) -> Records {
    const P instance{detail::parse_params<P>(json)};
    const auto call = stage_of(inputs);
    if (call.stage == Stage::start)
      return {{std::string(detail::state_port),
               {detail::checked_json(instance.start(detail::members_from<P>(inputs), context), detail::state_port)}}};
    const auto* states = previous == nullptr ? nullptr : detail::find_port(*previous, detail::state_port);
    if (states == nullptr || states->empty()) throw Error(ErrorCode::bug, "{}: a stage without a state", P::info.name);
    const auto state = record_from_json<typename P::State>(states->front());
    if (call.stage == Stage::finish) return detail::output_to(instance.finish(state, context));
    if (call.stage == Stage::step)
      return {{std::string(detail::state_port), {detail::next_state(instance, state, inputs, context)}}};
    if constexpr (detail::Scattered<P>)
      return {{std::string(detail::part_port),
               {detail::checked_json(instance.part(state, call.part, call.count, context), detail::part_port)}}};
    throw Error(ErrorCode::bug, "{}: its steps have no parts", P::info.name);
  };
  protocol.memory_mib = [](const Json& json, const Records& inputs) -> int {
    if constexpr (requires(const P& p) {
                    { p.memory_mib(Stage::part) } -> std::convertible_to<int>;
                  })
      return P{detail::parse_params<P>(json)}.memory_mib(stage_of(inputs).stage);
    (void)json, (void)inputs;
    return 512;
  };
  if constexpr (requires(const P& p) {
                  { p.needs() } -> std::same_as<std::vector<Need>>;
                })
    protocol.needs = [](const Json& json) { return P{detail::parse_params<P>(json)}.needs(); };
  return protocol;
}

/// Runs a whole iteration here, one call after another; states lie in the scratch folder.
/// @param inputs  as of a fold
[[nodiscard]] Records run_iteration(const Protocol& protocol, const Json& params, const Records& inputs,
                                    Context& context);

}  // namespace frazil::flow
