#include "frazil/exec/cluster.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "frazil/base/error.hpp"
#include "frazil/base/files.hpp"
#include "frazil/exec/hub.hpp"
#include "frazil/exec/hub_jobs.hpp"
#include "frazil/exec/messages.hpp"
#include "frazil/exec/proxy.hpp"

namespace frazil::exec {
namespace {

TEST(Cluster, SubmitsToSlurmByDefault) {
  const auto settings = parse_cluster(Json::object());
  const std::map<std::string, std::string> values = {
      {"count", "3"},       {"name", "frazil-worker"}, {"threads", "4"},    {"memory_mib", "8000"},
      {"time", "24:00:00"}, {"partition", ""},         {"logs", "/p/logs"}, {"script", "/p/job.sh"}};
  EXPECT_EQ(
      fill_command(settings.submit, values, {"--account=em", "--nice"}),
      (std::vector<std::string>{"sbatch", "--parsable", "--array=1-3", "--job-name=frazil-worker", "--cpus-per-task=4",
                                "--mem=8000M", "--time=24:00:00", "--output=/p/logs/cluster-%A_%a.log",
                                "--open-mode=append", "--account=em", "--nice", "/p/job.sh"}))
      << "without a partition the site's default is used";
}

TEST(Cluster, TellsAllThatIsWrongWithItsSettings) {
  try {
    (void)parse_cluster(
        {{"submitt", 1}, {"list", "squeue"}, {"resources", {{"threads", 0}, {"cores", 2}}}, {"job_pattern", "("}});
    FAIL() << "wrong settings were taken";
  } catch (const Error& error) {
    for (const auto* part :
         {"submitt is not known", "list has the wrong type", "threads and workers must be at least 1",
          "resources.cores is not known", "job_pattern is no regular expression"})
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << part << " in " << error.what();
  }
  EXPECT_THROW((void)fill_template("{nothing}", {}), Error);
}

TEST(Cluster, StepsInheritTheGeneralResources) {
  const auto settings = parse_cluster(
      {{"resources", {{"threads", 8}, {"partition", "cpu"}}}, {"steps", {{"classify", {{"threads", 32}}}}}});
  EXPECT_EQ(settings.steps.at("classify").threads, 32);
  EXPECT_EQ(settings.steps.at("classify").partition, "cpu");
}

TEST(Cluster, ReadsQueueListings) {
  const auto jobs = parse_listing("12_1 RUNNING\n12_[2-4] PENDING\n\n  13 COMPLETING\n");
  EXPECT_EQ(jobs, (std::vector<std::pair<std::string, std::string>>{
                      {"12_1", "RUNNING"}, {"12_[2-4]", "PENDING"}, {"13", "COMPLETING"}}));
}

TEST(Cluster, KnowsTheStepOfATaskByWhereItsResultsGo) {
  TaskHead task;
  EXPECT_EQ(step_of(task), "");
  task.reference = "steps/extract/mic_0001_0a1b2c3d";
  EXPECT_EQ(step_of(task), "extract");
}

/// The next whole frame, none when the other side has hung up.
std::optional<std::string> receive_frame(int socket, FrameReader& reader) {
  while (true) {
    if (auto text = reader.next()) return text;
    if (reader.fill(socket, true) == FrameReader::Status::closed) return std::nullopt;
  }
}

TEST(Cluster, AnswersReachTheEngineHoweverFastItAsksAgain) {
  const auto project = std::filesystem::temp_directory_path() / fmt::format("frazil-cluster-{}", ::getpid());
  std::filesystem::create_directories(project);
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  std::optional<Hub> hub(
      std::in_place,
      parse_cluster(
          {{"address", "127.0.0.1"}, {"submit", {"echo", "1"}}, {"list", {"echo", "1 RUNNING"}}, {"cancel", {"true"}}}),
      project, std::vector<std::string>{"worker"});
  std::jthread worker([file = hub->file()] {
    const int socket = connect_to_hub(file, "worker");
    FrameReader reader;
    while (const auto text = receive_frame(socket, reader)) {
      const auto tasks = Message(*text).task_heads();
      std::vector<Result> results(tasks.size());
      for (std::size_t i = 0; i < tasks.size(); ++i) results[i].number = tasks[i].number;
      (void)send_frame(socket, encode(results));
    }
    ::close(socket);
  });
  std::jthread between([file = hub->file(), socket = pair[1]] {
    Proxy proxy(file, socket);
    FrameReader reader;
    EXPECT_FALSE(proxy.next_here(reader).has_value()) << "nothing is to run here";
  });
  FrameReader reader;
  for (std::uint64_t i = 0; i < 3000; ++i) {
    Task task;
    task.number = i;
    task.reference = "steps/a/b";
    ASSERT_TRUE(send_frame(pair[0], encode(std::vector{task})));
    const auto answer = receive_frame(pair[0], reader);
    ASSERT_TRUE(answer.has_value());
    ASSERT_EQ(Message(*answer).result_heads().at(0).number, i);
  }
  ::close(pair[0]);
  hub.reset();  // hangs up: the threads end
  worker.join();
  between.join();
  ::close(pair[1]);
  std::filesystem::remove_all(project);
}

}  // namespace
}  // namespace frazil::exec
