// What ended tasks gave, packed tightly: a project of a million tasks is replayed from it in seconds.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "frazil/engine/graph.hpp"
#include "frazil/store/project.hpp"

namespace frazil::engine {

/// Finds digests in a list that its owner keeps.
class DigestTable {
 public:
  explicit DigestTable(const std::vector<Digest>& list);
  [[nodiscard]] std::optional<std::size_t> find(const std::vector<Digest>& list, const Digest& key) const;

 private:
  std::vector<std::uint32_t>
      cells_;  ///< place in the list + 1, each at the first free cell from where its digest points to; 0: none
};

class Replay {
 public:
  /// Reads the whole index of tasks, outputs and items. @param wanted  items whose numbers will be asked for, kept by
  /// the caller
  Replay(store::Project& store, const std::vector<Digest>& wanted);
  /// Number of the wanted item at this place of the list, 0 if the project has none such.
  [[nodiscard]] std::int64_t number_of(std::size_t place) const { return numbers_[place]; }
  /// The result stored under this reuse key, if any; without the message of a failure.
  [[nodiscard]] std::optional<Outcome> find(const Digest& key) const;

 private:
  struct Output {
    std::int64_t item = 0;
    std::uint32_t port = 0;  ///< index in ports_
  };
  void find_wanted();
  std::uint32_t port_index(std::string_view name);

  const std::vector<Digest>& wanted_;
  std::vector<std::int64_t> numbers_;  ///< of the wanted items
  std::vector<Digest> keys_;           ///< by task number
  std::optional<DigestTable> table_;   ///< of keys_
  std::vector<Digest> item_ids_;       ///< by number
  std::vector<std::uint32_t> first_;   ///< by task number: its outputs are outputs_[first_[n]] … [first_[n + 1])
  std::vector<Output> outputs_;
  std::vector<std::string> ports_;
  std::vector<bool> failed_;  ///< by task number
};

}  // namespace frazil::engine
