// Tables of what is left in the end, beside those of single sets.
#pragma once

#include <string>
#include <vector>

#include "frazil/flow/workflow.hpp"

namespace frazil::flow {

struct KeptTable {
  /// Of the items: all, those that every filter has accepted, or the others, as records {"file", "name", "state",
  /// "step", "reason"} of the kind "SetAside".
  enum class Which { all, kept, others };
  std::string name;            ///< of its file in star/, without the ending
  std::vector<Endpoint> from;  ///< the first of these sets that holds anything
  Which which = Which::all;
};

}  // namespace frazil::flow
