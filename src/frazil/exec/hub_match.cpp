#include "frazil/exec/hub_match.hpp"

#include <algorithm>

#include "frazil/base/log.hpp"

namespace frazil::exec {
namespace {

std::vector<std::uint64_t> numbers_of(const std::map<std::uint64_t, std::string>& tasks) {
  std::vector<std::uint64_t> numbers;
  for (const auto& [number, seed] : tasks) numbers.push_back(number);
  return numbers;
}

}  // namespace

void Matching::add_worker(int peer, std::string flavour, std::string where) {
  log::info("cluster: a worker has come from {}", where);
  workers_[peer] = {std::move(flavour), std::move(where)};
}

void Matching::add_proxy(int peer) { proxies_[peer]; }

int Matching::take(int peer, const std::string& text) {
  const Message message(text);
  if (const auto worker = workers_.find(peer); worker != workers_.end())
    return take_from_worker(worker->second, message, text);
  if (const auto proxy = proxies_.find(peer); proxy != proxies_.end())
    take_from_proxy(peer, proxy->second, message, text);
  return 0;
}

int Matching::take_from_worker(Worker& worker, const Message& message, const std::string& text) {
  if (worker.proxy == nobody) return 0;  // a late word of a task nobody waits for
  if (const auto started = message.find<Started>()) {
    worker.running = started->number;
    return 0;
  }
  const auto results = message.has_results() ? message.result_heads() : std::vector<ResultHead>{};
  ways_.send(worker.proxy, text);
  auto& proxy = proxies_.at(worker.proxy);
  for (const auto& result : results) proxy.tasks.erase(result.number);
  if (!results.empty() && proxy.tasks.empty()) {  // both sides are free again
    proxy.worker = worker.proxy = nobody;
    worker.running = 0;
    proxy.message.clear();
  }
  return static_cast<int>(results.size());
}

void Matching::take_from_proxy(int peer, Proxy& proxy, const Message& message, const std::string& text) {
  if (!message.has_tasks()) {
    if (proxy.worker != nobody)
      ways_.send(proxy.worker, text);
    else if (const auto cancel = message.find<Cancel>())
      cancel_waiting(peer, proxy, *cancel);
    return;
  }
  const auto tasks = message.task_heads();
  if (tasks.empty() || !proxy.tasks.empty()) return;
  proxy.message = text;
  proxy.cancelled.clear();
  for (const auto& task : tasks) proxy.tasks[task.number] = task.seed;
  proxy.flavour = rules_.flavour_of(step_of(tasks.front()));
  waiting_.push_back(peer);
}

void Matching::cancel_waiting(int peer, Proxy& proxy, const Cancel& cancel) {
  std::vector<std::uint64_t> unwanted;
  for (const auto& [number, seed] : proxy.tasks)
    if (cancel.tasks.empty() || std::find(cancel.tasks.begin(), cancel.tasks.end(), number) != cancel.tasks.end())
      unwanted.push_back(number);
  if (unwanted.empty()) return;
  proxy.cancelled.insert(proxy.cancelled.end(), unwanted.begin(), unwanted.end());
  end(proxy, peer, unwanted, ErrorCode::cancelled, "the engine asked to stop");
  if (proxy.tasks.empty()) std::erase(waiting_, peer);
}

void Matching::match() {
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    auto& proxy = proxies_.at(*it);
    const auto worker = std::find_if(workers_.begin(), workers_.end(), [&](const auto& entry) {
      return entry.second.proxy == nobody && entry.second.flavour == proxy.flavour;
    });
    if (worker == workers_.end()) {
      ++it;
      continue;
    }
    proxy.worker = worker->first;
    worker->second.proxy = *it;
    worker->second.running = 0;
    ways_.send(worker->first, proxy.message);
    if (!proxy.cancelled.empty()) ways_.send(worker->first, encode(Cancel{proxy.cancelled}));
    it = waiting_.erase(it);
  }
}

void Matching::fail_waiting(const std::string& why) {
  for (const int peer : std::exchange(waiting_, {})) {
    auto& proxy = proxies_.at(peer);
    end(proxy, peer, numbers_of(proxy.tasks), ErrorCode::resource, why);
  }
}

/// Tells a proxy that tasks have ended without a worker's result.
void Matching::end(Proxy& proxy, int peer, const std::vector<std::uint64_t>& tasks, ErrorCode code,
                   const std::string& message) {
  std::vector<Result> results;
  for (const auto number : tasks) {
    Result result;
    result.number = number;
    result.failed = true;
    result.code = code;
    result.message = message;
    results.push_back(std::move(result));
    proxy.tasks.erase(number);
  }
  ways_.send(peer, encode(results));
  if (proxy.tasks.empty()) proxy.message.clear();
}

void Matching::lose(int peer, const std::string& why) {
  if (const auto found = workers_.find(peer); found != workers_.end()) {
    const auto worker = std::move(found->second);
    workers_.erase(found);
    log::warning("cluster: the worker on {} is gone: {}", worker.where, why);
    if (worker.proxy != nobody) lose_worker(worker, why);
    return;
  }
  const auto found = proxies_.find(peer);
  if (found == proxies_.end()) return;
  // The engine is gone, or has killed its proxy: nobody waits for what its worker does.
  const int worker = found->second.worker;
  proxies_.erase(found);
  std::erase(waiting_, peer);
  if (worker == nobody) return;
  ways_.send(worker, encode(Cancel{}));
  ways_.hang_up(worker);
  workers_.erase(worker);
}

/// Not the fault of its tasks, unless it happens to the same one again and again: a time limit that is too short, say.
void Matching::lose_worker(const Worker& worker, const std::string& why) {
  auto& proxy = proxies_.at(worker.proxy);
  proxy.worker = nobody;
  const auto blamed = proxy.tasks.size() == 1 ? proxy.tasks.begin() : proxy.tasks.find(worker.running);
  if (blamed != proxy.tasks.end()) {
    const int losses = ++losses_[blamed->second];
    if (losses >= rules_.losses)
      end(proxy, worker.proxy, {blamed->first}, ErrorCode::bad_input,
          fmt::format("was lost with its job {} times: its time or memory limit may be too small for this step",
                      losses));
  }
  if (!proxy.tasks.empty())
    end(proxy, worker.proxy, numbers_of(proxy.tasks), ErrorCode::cancelled, "its worker was lost: " + why);
}

std::map<std::string, int> Matching::demand() const {
  std::map<std::string, int> wanted;
  for (const auto& [peer, proxy] : proxies_)
    if (!proxy.tasks.empty()) ++wanted[proxy.flavour];
  return wanted;
}

}  // namespace frazil::exec
