// Writes the STAR files of sets that have changed, from what the view has published.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "frazil/engine/view.hpp"

namespace frazil::engine {

/// Used by one thread at a time.
class StarWriter {
 public:
  using Format = std::function<std::optional<std::string>(const SetView&)>;
  StarWriter(std::unique_ptr<store::Reader> reader, Format format)
      : reader_(std::move(reader)), format_(std::move(format)) {}

  /// Writes the sets that are not as they were when they were last written. @throws Error, after which they still are
  /// not
  void write(const State& state);

 private:
  void write_step(const State& state, int step);

  std::unique_ptr<store::Reader> reader_;
  Format format_;
  std::shared_ptr<const Head> head_;   ///< for which the rest holds
  std::vector<std::int64_t> written_;  ///< by step: sequence of the change that was written last
};

}  // namespace frazil::engine
