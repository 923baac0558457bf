#include "frazil/flow/decision.hpp"

namespace frazil::flow {

Json decision_to_json(const Decision& decision) {
  auto json = record_to_json(decision);
  json["accepted"] = decision.accepted();
  return json;
}

Decision decision_from_json(const Json& json) {
  if (!json.is_object()) throw Error(ErrorCode::bad_input, "a decision is an object");
  auto decision = record_from_json<Decision>(json);
  const auto accepted = json.find("accepted");
  if (accepted == json.end() ? !json.contains("verdict") : !accepted->is_boolean())
    throw Error(ErrorCode::bad_input, "a decision says \"accepted\": true or false, or \"verdict\"");
  if (accepted == json.end()) return decision;
  if (!json.contains("verdict"))
    decision.verdict = accept_if(accepted->get<bool>());
  else if (decision.accepted() != accepted->get<bool>())
    throw Error(ErrorCode::bad_input, "a decision contradicts itself: verdict {}, accepted {}",
                json.at("verdict").dump(), accepted->dump());
  return decision;
}

}  // namespace frazil::flow
