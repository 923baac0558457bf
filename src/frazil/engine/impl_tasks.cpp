// Between ledger and dispatcher: what is to be run, and what has ended.
#include "frazil/base/log.hpp"
#include "frazil/engine/impl.hpp"

namespace frazil::engine {
namespace {

namespace fs = std::filesystem;

}  // namespace

// ---- what follows from events -----------------------------------------------------------------------------------

void Engine::Impl::start(Execution execution, std::string order) {
  dispatcher_->add(std::move(execution), std::move(order));
}

void Engine::Impl::drop(const Execution& execution) { dispatcher_->drop(execution); }

std::vector<int> Engine::Impl::withdraw(int index) { return dispatcher_->withdraw(index); }

void Engine::Impl::through(int subject) {
  const auto found = arrived_.find(subject);
  if (found == arrived_.end()) return;
  item_latency_.add(std::chrono::duration<double>(Clock::now() - found->second).count());
  arrived_.erase(found);
  note_time(through_);
}

int Engine::Impl::estimated_memory(const Execution& execution, const exec::RecordTexts& inputs) const {
  flow::Records records;
  for (const auto& [port, texts] : inputs) {
    std::vector<Json> list;
    for (const auto& text : texts) list.push_back(Json::parse(text));
    records.emplace_back(port, std::move(list));
  }
  return step(execution.step).protocol->memory_mib(step(execution.step).params, records);
}

/// What the dispatcher is told of the steps.
std::vector<Lane> Engine::Impl::lanes() const {
  std::vector<Lane> list;
  for (const auto& planned : ledger_.plan().steps)
    list.push_back({.key = planned.key,
                    .optional = planned.optional,
                    .depth = planned.depth,
                    .background = planned.protocol->shape == flow::Shape::iterate,
                    .is_whole = flow::takes_lists(planned.protocol->shape),
                    .threads = planned.threads,
                    .gpus = planned.gpus,
                    .place = planned.by_person ? std::make_optional(std::pair(std::string("person"), 0))
                             : options_.place  ? options_.place(planned)
                                               : std::nullopt});
  return list;
}

// ---- finishing --------------------------------------------------------------------------------------------------

void Engine::Impl::finish(Ended ended) {
  if (!ended.wanted) {  // asked for by a state of the graph that is gone
    std::error_code ignored;
    fs::remove_all(options_.project / ended.temporary, ignored);
    return;
  }
  if (!ended.result.failed && ended.result.has_files && !ledger_.move_outputs(ended))
    log::debug("{}", ended.result.message);
  if (!try_again(ended)) publish(ended);
}

/// Has the task run once more if its failure may not be its own. @return false when the result stands
bool Engine::Impl::try_again(Ended& ended) {
  const auto& result = ended.result;
  if (!result.failed) return false;
  if (result.killed) {
    if (result.blamed) {
      ++deaths_;
      last_death_ =
          fmt::format("{}, {}: {}", step(ended.execution.step).name, ledger_.label_of(ended.execution), result.message);
    }
    std::error_code ignored;
    fs::remove_all(options_.project / ended.temporary, ignored);
    fs::remove_all(options_.project / (ended.temporary + ".scratch"), ignored);
  } else if (result.no_space && !stopping_) {
    wait_for_disk(result.message, true);  // not the task's fault, however often it happens
    dispatcher_->repeat(ended);
    return true;
  } else if (!stopping_ && (result.code == ErrorCode::not_found || result.code == ErrorCode::io)) {
    next_files_ = {};
    watch_named_files();
    if (!missing_files_.empty()) {  // perhaps for want of it, and then no failure of this item
      constexpr double pause_s = 5;
      dispatcher_->repeat(ended, pause_s);
      return true;
    }
  }
  const auto retry = dispatcher_->again(ended, stopping_);
  if (!retry) return false;
  if (retry->counts_kill) ledger_.note_kills({ended.execution.key, ended.kills.all, ended.kills.alone});
  if (retry->why.empty()) return true;
  const auto label = ledger_.label_of(ended.execution);
  ledger_.add_event("retry", step(ended.execution.step).name, label, retry->why);
  log::warning("{}, {}: {}", step(ended.execution.step).name, label, retry->why);
  return true;
}

void Engine::Impl::publish(const Ended& ended) {
  const auto& execution = ended.execution;
  if (!ended.result.failed) disk_pause_s_ = 5;
  if (!ended.result.killed)
    if (const auto cost = dispatcher_->note_cost(execution, ended.result)) ledger_.note_cost(*cost);
  const auto& read = ended.result.read;
  for (std::size_t i = 0; i + 1 < read.size(); i += 2)
    if (is_first_reading(read[i], read[i + 1])) ledger_.put(content_key + read[i], read[i + 1]);
  ledger_.record(ended);
}

}  // namespace frazil::engine
