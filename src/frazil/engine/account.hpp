// Where everything that a project has seen has gone, as counts that add up. One place makes them: terminal, JSON and
// report show these.
#pragma once

#include <string>
#include <vector>

#include "frazil/params/json.hpp"

namespace frazil::engine {

/// So many, for a reason that a step gives.
struct Counted {
  std::string step, reason;
  double count = 0;
};

/// Files that a source has seen, and what became of the items in them:
///   files = items + replaced + duplicates + broken + incomplete + left_out
///   items = kept + set_aside + held + failed + in_work
struct SourceAccount {
  std::string step, kind;  ///< kind of the items
  int files = 0, items = 0, replaced = 0, duplicates = 0, broken = 0, incomplete = 0, left_out = 0;
  int kept = 0;      ///< all filters have accepted it
  int restored = 0;  ///< of those kept: taken back by a person
  int set_aside = 0, held = 0, failed = 0, in_work = 0;
  std::vector<Counted> aside_by, held_by, failed_at, in_work_at;  ///< in the order of the steps; each adds up
};

/// What one step has made of things that come by the number, such as positions and particles:
///   entered = passed + set_aside + left_out + waiting + failed
struct AmountAccount {
  std::string step, title, kind;
  bool is_first = false;  ///< it finds them: what has entered is what it gives
  double entered = 0, passed = 0, set_aside = 0, left_out = 0, waiting = 0, failed = 0;
  std::vector<Counted> reasons;  ///< of those set aside, or else of those left out
};

struct Account {
  std::vector<SourceAccount> sources;
  std::vector<AmountAccount> amounts;  ///< in the order of the steps
};

[[nodiscard]] Json to_json(const Account& account);

}  // namespace frazil::engine
