// Keeps the account of a project while its view follows the feed: only what has changed is counted again.
#pragma once

#include <map>
#include <string>
#include <tuple>
#include <unordered_set>
#include <utility>
#include <vector>

#include "frazil/engine/view.hpp"

namespace frazil::engine {

/// What has become of the item of a file.
enum class Standing { in_work, kept, set_aside, held, failed, replaced };
constexpr auto names_of(Standing) { return std::array{"in work", "kept", "set aside", "held", "failed", "replaced"}; }

struct Fate {
  Standing standing = Standing::in_work;
  int step = -1;                               ///< that set it aside, holds it, failed, or is next; −1: none
  bool restored = false;                       ///< kept because a person took it back
  const store::DecisionRow* person = nullptr;  ///< the decision of a person, or of the rule "replaced", that counts
  std::string reason = {};                     ///< why it is set aside, in a few words that many share
};

/// Kept is what all filters have accepted that look at it; without filters, what all steps are done with. A failure
/// counts before a decision, a decision before work that is left.
[[nodiscard]] Fate fate_of(const State& state, int subject);

class Accountant {
 public:
  /// Forgets everything; what follows is counted by this plan.
  void begin(const flow::Plan& plan);
  /// Something of the subject has changed.
  void touch(int subject) { touched_.insert(subject); }
  /// Counts again what was touched, and says how it all stands.
  [[nodiscard]] Account update(const State& state);

 private:
  /// told: why things were set aside; lost: they came to a task that failed.
  enum class What {
    kept,
    restored,
    set_aside,
    held,
    failed,
    in_work,
    replaced,
    entered,
    passed,
    aside,
    told,
    left,
    waiting,
    lost
  };
  using Key = std::tuple<What, int, int, std::string>;  ///< what, whose (source, or place in flows_), step, reason
  /// A step that gives things by the number.
  struct Flow {
    int step = 0;
    std::vector<flow::Endpoint> inputs;
    std::vector<int> outputs;
    int aside = -1;  ///< port of those set aside; −1: none
    bool is_source = false, is_list = false, versioned = false;
  };

  [[nodiscard]] static Flow flow_of(const flow::Plan& plan, int step);
  void count(const State& state, int subject);
  void count_flow(const State& state, int flow, int subject);
  void add(What what, int whose, int step, const std::string& reason, double count);
  [[nodiscard]] SourceAccount source_account(const State& state, int step) const;
  [[nodiscard]] AmountAccount amount_account(const State& state, int flow) const;
  void add_versions(const State& state, const Flow& flow, AmountAccount& account) const;
  [[nodiscard]] double total(What what, int whose) const;
  [[nodiscard]] std::vector<Counted> counted(const State& state, What what, int whose) const;

  std::vector<Flow> flows_;
  std::unordered_set<int> touched_;
  std::map<Key, int> keys_;
  std::vector<double> totals_;                               ///< by number of the key
  std::vector<std::vector<std::pair<int, double>>> shares_;  ///< by subject: key and what it adds there
  std::vector<std::pair<int, double>>* sharing_ = nullptr;   ///< of the subject that is being counted
};

}  // namespace frazil::engine
