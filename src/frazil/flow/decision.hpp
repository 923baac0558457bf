// What a filter says of an item: the words in which it is accepted, set aside or held.
#pragma once

#include <string>

#include "frazil/params/fields.hpp"

namespace frazil::flow {

/// `held` is neither: the rule's reference is not sure yet. A held item does not flow on and is decided again.
enum class Verdict { accepted, set_aside, held };
constexpr auto names_of(Verdict) { return std::array{"accepted", "set_aside", "held"}; }

/// Of a rule that knows only yes and no.
[[nodiscard]] constexpr Verdict accept_if(bool good) { return good ? Verdict::accepted : Verdict::set_aside; }

/// Outcome of a step that accepts an item, sets it aside or holds it.
struct Decision {
  Verdict verdict = Verdict::accepted;
  std::string rule = {};   ///< name of the criterion that decided ("max_step_A"); of the tightest one when accepted
  std::string title = {};  ///< what is wrong with items that break it, in a few words: "steps too large"
  double value = 0, limit = 0;
  std::string reason = {};  ///< one sentence for people, empty when accepted
  /// Of one that is held: what becomes of it if nothing better comes before the stream closes.
  Verdict otherwise = Verdict::accepted;

  [[nodiscard]] bool accepted() const { return verdict == Verdict::accepted; }

  static constexpr auto fields() {
    using P = Decision;
    return std::tuple(field(&P::verdict, "verdict", "Accepted, set aside or held"),
                      field(&P::rule, "rule", "Criterion"), field(&P::title, "title", "What breaking it means"),
                      field(&P::value, "value", "Measured; null: not a number").nullable(),
                      field(&P::limit, "limit", "Limit"), field(&P::reason, "reason", "Why not"),
                      field(&P::otherwise, "otherwise", "If held: what becomes of it in the end"));
  }
};

/// Its fields, and `accepted` for whoever asks for no more than that.
[[nodiscard]] Json decision_to_json(const Decision& decision);
/// From `verdict`, or else from `accepted`. @throws Error(bad_input) if both are missing or contradict each other
[[nodiscard]] Decision decision_from_json(const Json& json);

}  // namespace frazil::flow
