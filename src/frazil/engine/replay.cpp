#include "frazil/engine/replay.hpp"

#include <algorithm>
#include <bit>

namespace frazil::engine {

Replay::Replay(store::Project& store, const std::vector<Digest>& wanted) {
  numbers_.reserve(wanted.size());
  for (const auto& id : wanted) numbers_[id] = 0;
  store.for_item_ids([&](std::int64_t n, std::string_view id) {
    if (item_ids_.size() <= static_cast<std::size_t>(n)) item_ids_.resize(static_cast<std::size_t>(n) + 1);
    const auto digest = Digest::parse(id);
    item_ids_[static_cast<std::size_t>(n)] = digest;
    if (const auto found = numbers_.find(digest); found != numbers_.end()) found->second = n;
  });
  store.for_task_keys([&](std::int64_t n, std::string_view key) {
    if (keys_.size() <= static_cast<std::size_t>(n)) keys_.resize(static_cast<std::size_t>(n) + 1);
    keys_[static_cast<std::size_t>(n)] = Digest::parse(key);
  });
  make_table();
  const auto last = static_cast<std::int64_t>(keys_.size()) - 1;
  failed_.resize(keys_.size());
  for (const auto n : store.failed_tasks()) failed_[static_cast<std::size_t>(n)] = true;
  first_.reserve(static_cast<std::size_t>(last) + 2);
  store.for_outputs([&](std::int64_t task, std::string_view port, std::int64_t item) {
    while (first_.size() <= static_cast<std::size_t>(task)) first_.push_back(static_cast<std::uint32_t>(outputs_.size()));
    outputs_.push_back({item, port_index(port)});
  });
  first_.resize(static_cast<std::size_t>(last) + 2, static_cast<std::uint32_t>(outputs_.size()));
}

std::int64_t Replay::number_of(const Digest& item) const {
  const auto found = numbers_.find(item);
  return found == numbers_.end() ? 0 : found->second;
}

std::uint32_t Replay::port_index(std::string_view name) {
  const auto place = static_cast<std::uint32_t>(std::find(ports_.begin(), ports_.end(), name) - ports_.begin());
  if (place == ports_.size()) ports_.emplace_back(name);
  return place;
}

/// A lookup reads one distant cell of memory: tasks that are looked up one after another lie near each other.
void Replay::make_table() {
  table_.assign(std::bit_ceil(2 * keys_.size() + 2), 0);
  const auto mask = table_.size() - 1;
  for (std::size_t n = 1; n < keys_.size(); ++n) {
    if (keys_[n] == Digest{}) continue;  // a task that was forgotten
    auto place = keys_[n].low & mask;
    while (table_[place] != 0) place = (place + 1) & mask;
    table_[place] = static_cast<std::uint32_t>(n);
  }
}

std::optional<Outcome> Replay::find(const Digest& key) const {
  const auto mask = table_.size() - 1;
  auto place = key.low & mask;
  while (table_[place] != 0 && keys_[table_[place]] != key) place = (place + 1) & mask;
  if (table_[place] == 0) return std::nullopt;
  const std::size_t n = table_[place];
  Outcome outcome;
  outcome.task = static_cast<std::int64_t>(n);
  outcome.failed = failed_[n];
  for (auto i = first_[n]; i < first_[n + 1]; ++i)
    outcome.outputs.emplace_back(ports_[outputs_[i].port], ItemHandle{outputs_[i].item, item_ids_.at(static_cast<std::size_t>(outputs_[i].item))});
  outcome.accepted = outcome.outputs.empty() || outcome.outputs.front().first != "set_aside";
  return outcome;
}

}  // namespace frazil::engine
