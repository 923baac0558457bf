#include "frazil/engine/replay.hpp"

#include <algorithm>
#include <bit>
#include <future>

namespace frazil::engine {

/// A lookup reads one distant cell of memory, and of the list what probably is it.
DigestTable::DigestTable(const std::vector<Digest>& list) : cells_(std::bit_ceil(2 * list.size() + 2), 0) {
  const auto mask = cells_.size() - 1;
  for (std::size_t n = 0; n < list.size(); ++n) {
    if (list[n] == Digest{}) continue;  // nothing has this number
    auto place = list[n].low & mask;
    while (cells_[place] != 0) place = (place + 1) & mask;
    cells_[place] = static_cast<std::uint32_t>(n) + 1;
  }
}

std::optional<std::size_t> DigestTable::find(const std::vector<Digest>& list, const Digest& key) const {
  const auto mask = cells_.size() - 1;
  auto place = key.low & mask;
  while (cells_[place] != 0 && list[cells_[place] - 1] != key) place = (place + 1) & mask;
  if (cells_[place] == 0) return std::nullopt;
  return cells_[place] - 1;
}

/// While this thread reads one table of the store, the one before it is put in order by another.
Replay::Replay(store::Project& store, const std::vector<Digest>& wanted) : wanted_(wanted), numbers_(wanted.size(), 0) {
  store.for_item_ids([&](std::int64_t n, std::string_view id) {
    if (item_ids_.size() <= static_cast<std::size_t>(n)) item_ids_.resize(static_cast<std::size_t>(n) + 1);
    item_ids_[static_cast<std::size_t>(n)] = Digest::parse(id);
  });
  auto numbering = std::async(std::launch::async, [&] { find_wanted(); });
  store.for_task_keys([&](std::int64_t n, std::string_view key) {
    if (keys_.size() <= static_cast<std::size_t>(n)) keys_.resize(static_cast<std::size_t>(n) + 1);
    keys_[static_cast<std::size_t>(n)] = Digest::parse(key);
  });
  auto ordering = std::async(std::launch::async, [&] { table_.emplace(keys_); });
  const auto last = static_cast<std::int64_t>(keys_.size()) - 1;
  failed_.resize(keys_.size());
  for (const auto n : store.failed_tasks()) failed_[static_cast<std::size_t>(n)] = true;
  first_.reserve(static_cast<std::size_t>(last) + 2);
  store.for_outputs([&](std::int64_t task, std::string_view port, std::int64_t item) {
    while (first_.size() <= static_cast<std::size_t>(task))
      first_.push_back(static_cast<std::uint32_t>(outputs_.size()));
    outputs_.push_back({item, port_index(port)});
  });
  first_.resize(static_cast<std::size_t>(last) + 2, static_cast<std::uint32_t>(outputs_.size()));
  numbering.get();
  ordering.get();
}

/// Few among many: a small table of those wanted is asked for each item.
void Replay::find_wanted() {
  const DigestTable table(wanted_);
  for (std::size_t n = 0; n < item_ids_.size(); ++n)
    if (const auto place = table.find(wanted_, item_ids_[n])) numbers_[*place] = static_cast<std::int64_t>(n);
}

std::uint32_t Replay::port_index(std::string_view name) {
  const auto place = static_cast<std::uint32_t>(std::find(ports_.begin(), ports_.end(), name) - ports_.begin());
  if (place == ports_.size()) ports_.emplace_back(name);
  return place;
}

std::optional<Outcome> Replay::find(const Digest& key) const {
  const auto found = table_->find(keys_, key);
  if (!found) return std::nullopt;
  const std::size_t n = *found;
  Outcome outcome;
  outcome.task = static_cast<std::int64_t>(n);
  outcome.failed = failed_[n];
  for (auto i = first_[n]; i < first_[n + 1]; ++i)
    outcome.outputs.emplace_back(
        ports_[outputs_[i].port],
        ItemHandle{outputs_[i].item, item_ids_.at(static_cast<std::size_t>(outputs_[i].item))});
  if (!outcome.outputs.empty()) read_verdict(outcome.outputs.front().first, outcome);
  return outcome;
}

}  // namespace frazil::engine
