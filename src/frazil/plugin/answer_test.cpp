#include "frazil/plugin/answer.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include "frazil/base/files.hpp"
#include "frazil/model/records.hpp"

namespace frazil::plugin {
namespace {

namespace fs = std::filesystem;

flow::Protocol picking() {
  flow::Protocol protocol;
  protocol.name = "pick-by-hand";
  protocol.inputs = {{"micrographs", "Micrograph"}};
  protocol.outputs = {{"coordinates", "Coordinates"}};
  return protocol;
}

class AnswerTest : public ::testing::Test {
 protected:
  AnswerTest() {
    make_folders(folder_ / "given");
    Micrograph micrograph;
    micrograph.path = "steps/align/mic_0001/mic_0001.mrc";
    micrograph.name = "mic_0001";
    micrograph.nx = 400, micrograph.ny = 300;
    inputs_ = {{"micrographs", {record_to_json(micrograph)}}};
  }
  ~AnswerTest() override { fs::remove_all(folder_); }
  fs::path table(const std::string& name, const std::string& rows) const {
    const auto path = folder_ / "given" / name;
    write_text(path, "data_\n\nloop_\n_rlnCoordinateX #1\n_rlnCoordinateY #2\n" + rows);
    return path;
  }
  flow::Records read(const std::vector<fs::path>& files) const {
    return read_answer(picking(), inputs_, files, {folder_, folder_ / "tmp" / "1", "steps/pick/mic_0001_0a1b2c3d"});
  }
  /// The sentence with which it is refused.
  std::string refusal(const std::vector<fs::path>& files) const {
    try {
      (void)read(files);
    } catch (const Error& error) {
      return error.what();
    }
    return "it was taken";
  }

  fs::path folder_ = fs::temp_directory_path() / fmt::format("frazil-answer-{}", ::getpid());
  flow::Records inputs_;
};

TEST_F(AnswerTest, PositionsAreTakenOverCountedAndBelongToTheirImage) {
  const auto answer = read({table("mic_0001_picks.star", "10 20\n390 290\n")});
  ASSERT_EQ(answer.size(), 1u);
  const auto& record = answer[0].second.at(0);
  EXPECT_EQ(record["count"], 2);
  EXPECT_EQ(record["micrograph"], "steps/align/mic_0001/mic_0001.mrc");
  EXPECT_EQ(record["coordinates"], "steps/pick/mic_0001_0a1b2c3d/mic_0001_picks.star");
  EXPECT_TRUE(fs::exists(folder_ / "tmp" / "1" / "mic_0001_picks.star"));
}

TEST_F(AnswerTest, WhatCannotBeIsRefusedInOneSentence) {
  EXPECT_NE(refusal({table("mic_0001.star", "10 20\n500 20\n")}).find("500"), std::string::npos);
  EXPECT_NE(refusal({table("mic_0001.star", "10 nan\n")}), "it was taken");
  EXPECT_NE(refusal({}).find("no file gives coordinates"), std::string::npos);
  const auto good = table("mic_0001.star", "10 20\n");
  write_text(folder_ / "given" / "other.mrc", "no image");
  const auto unused = refusal({good, folder_ / "given" / "other.mrc"});
  EXPECT_NE(unused.find("other.mrc"), std::string::npos) << unused;
}

}  // namespace
}  // namespace frazil::plugin
