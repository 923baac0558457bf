// What ended tasks gave, packed tightly: a project of a million tasks is replayed from it in seconds.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "frazil/engine/graph.hpp"
#include "frazil/store/project.hpp"

namespace frazil::engine {

class Replay {
 public:
  /// Reads the whole index of tasks, outputs and items. @param wanted  items whose numbers will be asked for
  Replay(store::Project& store, const std::vector<Digest>& wanted);
  /// Number of a wanted item, 0 if the project has none such.
  [[nodiscard]] std::int64_t number_of(const Digest& item) const;
  /// The result stored under this reuse key, if any; without the message of a failure.
  [[nodiscard]] std::optional<Outcome> find(const Digest& key) const;

 private:
  struct Output {
    std::int64_t item = 0;
    std::uint32_t port = 0;  ///< index in ports_
  };
  void make_table();
  std::uint32_t port_index(std::string_view name);

  std::vector<Digest> keys_;            ///< by task number
  std::vector<std::uint32_t> table_;    ///< task numbers, each at the first free place from where its key points to; 0: none
  std::vector<Digest> item_ids_;        ///< by number
  std::unordered_map<Digest, std::int64_t> numbers_;  ///< of the wanted items
  std::vector<std::uint32_t> first_;    ///< by task number: its outputs are outputs_[first_[n]] … [first_[n + 1])
  std::vector<Output> outputs_;
  std::vector<std::string> ports_;
  std::vector<bool> failed_;            ///< by task number
};

}  // namespace frazil::engine
