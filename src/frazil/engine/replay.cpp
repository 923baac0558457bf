#include "frazil/engine/replay.hpp"

#include <algorithm>
#include <cmath>

namespace frazil::engine {

Replay::Replay(store::Project& store) {
  store.for_item_ids([&](std::int64_t n, std::string_view id) {
    if (item_ids_.size() <= static_cast<std::size_t>(n)) item_ids_.resize(static_cast<std::size_t>(n) + 1);
    item_ids_[static_cast<std::size_t>(n)] = Digest::parse(id);
  });
  std::int64_t last = 0;
  store.for_task_keys([&](std::int64_t n, std::string_view key) {
    keys_.push_back({Digest::parse(key), n});
    last = std::max(last, n);
  });
  failed_.resize(static_cast<std::size_t>(last) + 1);
  for (const auto n : store.failed_tasks()) failed_[static_cast<std::size_t>(n)] = true;
  first_.reserve(static_cast<std::size_t>(last) + 2);
  store.for_outputs([&](std::int64_t task, std::string_view port, std::int64_t item) {
    while (first_.size() <= static_cast<std::size_t>(task)) first_.push_back(static_cast<std::uint32_t>(outputs_.size()));
    outputs_.push_back({item, port_index(port)});
  });
  first_.resize(static_cast<std::size_t>(last) + 2, static_cast<std::uint32_t>(outputs_.size()));
}

std::uint32_t Replay::port_index(std::string_view name) {
  const auto place = static_cast<std::uint32_t>(std::find(ports_.begin(), ports_.end(), name) - ports_.begin());
  if (place == ports_.size()) ports_.emplace_back(name);
  return place;
}

/// Hashes lie evenly: their value tells their place nearly, that of the one found there more nearly. Few distant cells of memory
/// are read, where halving would read twenty.
const Replay::Key* Replay::find_key(const Digest& wanted) const {
  const auto size = static_cast<std::ptrdiff_t>(keys_.size());
  if (size == 0) return nullptr;
  const auto place_of = [&](std::uint64_t part) { return static_cast<std::ptrdiff_t>(std::ldexp(static_cast<double>(part), -64) * static_cast<double>(size)); };
  const auto at = [&](std::ptrdiff_t place) -> const Key& { return keys_[static_cast<std::size_t>(place)]; };
  auto place = std::min(place_of(wanted.high), size - 1);
  const auto there = at(place).key.high;
  place += there < wanted.high ? place_of(wanted.high - there) : -place_of(there - wanted.high);
  place = std::clamp<std::ptrdiff_t>(place, 0, size - 1);
  while (place > 0 && wanted < at(place).key) --place;
  while (place + 1 < size && at(place).key < wanted) ++place;
  return at(place).key == wanted ? &at(place) : nullptr;
}

std::optional<Outcome> Replay::find(const std::string& key) const {
  const auto wanted = Digest::parse(key);
  const auto* found = find_key(wanted);
  if (found == nullptr) return std::nullopt;
  const auto n = static_cast<std::size_t>(found->task);
  Outcome outcome;
  outcome.task = found->task;
  outcome.failed = failed_[n];
  for (auto i = first_[n]; i < first_[n + 1]; ++i)
    outcome.outputs.emplace_back(ports_[outputs_[i].port], ItemHandle{outputs_[i].item, item_ids_.at(static_cast<std::size_t>(outputs_[i].item))});
  outcome.accepted = outcome.outputs.empty() || outcome.outputs.front().first != "set_aside";
  return outcome;
}

}  // namespace frazil::engine
