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
  using Tables = std::function<std::vector<flow::KeptTable>(const flow::Plan&)>;
  StarWriter(std::unique_ptr<store::Reader> reader, Format format, Tables tables)
      : reader_(std::move(reader)), format_(std::move(format)), tables_of_(std::move(tables)) {}

  /// Writes the sets that are not as they were when they were last written. @throws Error, after which they still are
  /// not
  void write(const State& state);

 private:
  void write_step(const State& state, int step);
  void write_kept(const State& state, const flow::KeptTable& table);
  void write_file(const State& state, const std::string& name, const SetView& view);

  std::unique_ptr<store::Reader> reader_;
  Format format_;
  Tables tables_of_;
  std::shared_ptr<const Head> head_;  ///< for which the rest holds
  std::vector<flow::KeptTable> tables_;
  std::vector<std::int64_t> written_;  ///< by step: sequence of the change that was written last
  std::int64_t kept_written_ = -1;     ///< sequence of the state whose tables of what is kept were written last
};

}  // namespace frazil::engine
