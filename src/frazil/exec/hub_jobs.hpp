// The hub's jobs in the queue: as many as there are tasks for, watched by id. Runs in a thread of its own, since the
// queue's commands may take long.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "frazil/base/process.hpp"
#include "frazil/exec/cluster.hpp"

namespace frazil::exec {

class Jobs {
 public:
  /// How many workers of each kind could be at work, and whether any worker is connected. From any thread.
  struct Demand {
    std::map<std::string, int> wanted;
    bool has_workers = false;
  };
  /// Removes the jobs that an earlier run left in the queue. @param connect_file  by kind of worker: where it finds the
  /// hub
  Jobs(const ClusterSettings& settings, std::filesystem::path project, std::vector<std::string> worker_command,
       std::function<std::filesystem::path(const std::string& flavour)> connect_file, std::function<Demand()> demand);
  /// Cancels all jobs.
  ~Jobs();
  Jobs(const Jobs&) = delete;
  Jobs& operator=(const Jobs&) = delete;

  void start();
  /// Results have come: jobs are not in vain.
  void note_results() { fruitless_ = 0; }
  /// Jobs end without doing anything: no more are submitted.
  [[nodiscard]] bool given_up() const { return given_up_; }
  [[nodiscard]] const WorkerResources& resources(const std::string& flavour) const;

 private:
  struct Job {
    std::string id, flavour;
    int alive = 0;
  };
  void mind(const std::stop_token& stop);
  [[nodiscard]] Finished command(const std::vector<std::string>& arguments) const;
  void cancel(const std::string& job) const;
  void cancel_leftovers() const;
  void list();
  void remember() const;
  void submit_missing();
  void submit(const std::string& flavour, int count);

  const ClusterSettings& settings_;
  std::filesystem::path project_;
  std::vector<std::string> worker_command_;
  std::function<std::filesystem::path(const std::string&)> connect_file_;
  std::function<Demand()> demand_;
  std::vector<Job> jobs_;
  std::atomic<int> fruitless_ = 0;  ///< jobs that ended since the last result
  std::atomic<bool> given_up_ = false;
  std::jthread thread_;
};

/// State of each job in a queue listing: one job a line, its id and state as the first two words; other lines are
/// passed over.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> parse_listing(const std::string& text);

}  // namespace frazil::exec
