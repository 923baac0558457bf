// What the last files of a stream say that is wrong, until enough others have come that do not.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "frazil/params/finding.hpp"

namespace frazil::engine {

class StreamFindings {
 public:
  static constexpr std::size_t window = 20;  ///< files

  /// What one more file says; nothing is said, too.
  void add(std::string label, std::vector<Finding> findings);
  /// What is found in any of the last files, in the words of the last of them. Where not all agree, it is said how many
  /// do.
  [[nodiscard]] std::vector<Finding> standing() const;

 private:
  struct File {
    std::string label;
    std::vector<Finding> findings;
  };
  std::deque<File> files_;  ///< the last first
};

}  // namespace frazil::engine
