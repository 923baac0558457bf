#include "frazil/exec/cluster.hpp"

#include <gtest/gtest.h>

#include "frazil/base/error.hpp"
#include "frazil/exec/hub.hpp"
#include "frazil/exec/proxy.hpp"

namespace frazil::exec {
namespace {

using Json = nlohmann::json;

TEST(Cluster, SubmitsToSlurmByDefault) {
  const auto settings = parse_cluster(Json::object());
  const std::map<std::string, std::string> values = {{"count", "3"}, {"name", "frazil-worker"}, {"threads", "4"}, {"memory_mib", "8000"}, {"time", "24:00:00"}, {"partition", ""}, {"logs", "/p/logs"}, {"script", "/p/job.sh"}};
  EXPECT_EQ(fill_command(settings.submit, values, {"--account=em", "--nice"}),
            (std::vector<std::string>{"sbatch", "--parsable", "--array=1-3", "--job-name=frazil-worker", "--cpus-per-task=4", "--mem=8000M", "--time=24:00:00", "--output=/p/logs/cluster-%A_%a.log",
                                      "--open-mode=append", "--account=em", "--nice", "/p/job.sh"}))
      << "without a partition the site's default is used";
}

TEST(Cluster, TellsAllThatIsWrongWithItsSettings) {
  try {
    (void)parse_cluster({{"submitt", 1}, {"list", "squeue"}, {"resources", {{"threads", 0}, {"cores", 2}}}});
    FAIL() << "wrong settings were taken";
  } catch (const Error& error) {
    for (const auto* part : {"submitt is not known", "list has the wrong type", "threads and workers must be at least 1", "resources.cores is not known"})
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << part << " in " << error.what();
  }
  EXPECT_THROW((void)fill_template("{nothing}", {}), Error);
}

TEST(Cluster, StepsInheritTheGeneralResources) {
  const auto settings = parse_cluster({{"resources", {{"threads", 8}, {"partition", "cpu"}}}, {"steps", {{"classify", {{"threads", 32}}}}}});
  EXPECT_EQ(settings.steps.at("classify").threads, 32);
  EXPECT_EQ(settings.steps.at("classify").partition, "cpu");
}

TEST(Cluster, ReadsQueueListings) {
  const auto jobs = parse_listing("12_1 RUNNING\n12_[2-4] PENDING\n\n  13 COMPLETING\n");
  EXPECT_EQ(jobs, (std::vector<std::pair<std::string, std::string>>{{"12_1", "RUNNING"}, {"12_[2-4]", "PENDING"}, {"13", "COMPLETING"}}));
}

TEST(Cluster, KnowsTheStepOfATaskByWhereItsResultsGo) {
  EXPECT_EQ(step_of({{"reference", "steps/extract/mic_0001_0a1b2c3d"}}), "extract");
  EXPECT_EQ(step_of(Json::array({{{"reference", "steps/ctf/x"}}, {{"reference", "steps/ctf/y"}}})), "ctf");
  EXPECT_EQ(step_of({{"task", 1}}), "");
}

}  // namespace
}  // namespace frazil::exec
