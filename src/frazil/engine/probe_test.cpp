// A start tried on protocols that know nothing but files of text.
#include "frazil/engine/probe.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include "frazil/base/files.hpp"

namespace frazil::engine {
namespace {

namespace fs = std::filesystem;

struct Sheet {
  static constexpr std::string_view kind = "Sheet";
  std::string text;
  static constexpr auto fields() { return std::tuple(field(&Sheet::text, "text", "What it says")); }
};

struct ImportSheets {
  static constexpr flow::Info info{.name = "import-sheets", .title = "Sheets", .version = 1};
  struct Params {
    std::string files;
    std::string key;
    double size = 0;
    int expected = 0;
    static constexpr auto fields() {
      using P = Params;
      return std::tuple(field(&P::files, "files", "Folder").required().runtime(), field(&P::key, "key", "Key").file(),
                        field(&P::size, "size", "Size").required(), field(&P::expected, "expected", "Files").runtime());
    }
  };
  using Output = Sheet;
  Params params;
  [[nodiscard]] flow::Watch watch() const {
    return {.files = params.files, .extensions = {".txt"}, .expected = params.expected};
  }
  [[nodiscard]] static flow::FileCheck check(const fs::path&) { return {}; }
  [[nodiscard]] Sheet record(const fs::path& path, const std::string&) const { return {read_text(path)}; }
  [[nodiscard]] std::vector<Finding> contradictions(const Sheet& sheet) const {
    if (sheet.text != "odd") return {};
    return {{.kind = AlarmKind::metadata, .text = "the sheet is odd"}};
  }
  [[nodiscard]] std::vector<flow::ToldValue> told(const Sheet&) const { return {{"size", 7, "the sheet"}}; }
};

/// Refuses sheets that say so, and writes a lot.
struct Press {
  static constexpr flow::Info info{.name = "press", .title = "Press", .version = 1};
  struct Params {
    double bytes = 1;
    static constexpr auto fields() { return std::tuple(field(&Params::bytes, "bytes", "Written for each")); }
  };
  using Input = Sheet;
  using Output = Sheet;
  Params params;
  [[nodiscard]] Sheet process(const Sheet& sheet, flow::Context&) const { return sheet; }
  [[nodiscard]] double bytes_written(const Sheet&) const { return params.bytes; }
  [[nodiscard]] flow::Foresight foresee(const Sheet& sheet, const flow::Context&) const {
    if (sheet.text != "stuck") return {};
    return {.problems = {{.kind = AlarmKind::gain, .text = "sheets stick", .advice = "Dry them"}}};
  }
};

class ProbeTest : public ::testing::Test {
 protected:
  ProbeTest() {
    registry_.add(flow::make_source<ImportSheets>());
    registry_.add(flow::make_protocol<Press>());
    std::vector<flow::Problem> problems;
    workflow_ = flow::parse_workflow(
        R"({"parameters": [{"name": "files", "type": "path", "required": true}, {"name": "key", "type": "path"},
              {"name": "size", "type": "number", "required": true, "unit": "mm"}, {"name": "bytes", "type": "number",
              "default": 1}, {"name": "expected", "type": "integer", "default": 0}],
          "steps": {"in": {"protocol": "import-sheets", "params": {"files": "${files}", "key": "${key}",
              "size": "${size}", "expected": "${expected}"}},
            "press": {"protocol": "press", "params": {"bytes": "${bytes}"}, "inputs": {"sheets": "in.sheets"}}}})",
        problems);
    EXPECT_TRUE(problems.empty()) << flow::describe(problems);
    make_folders(folder_ / "sheets");
  }
  ~ProbeTest() override { fs::remove_all(folder_); }

  void write(const std::string& name, const std::string& text) const { write_text(folder_ / "sheets" / name, text); }
  [[nodiscard]] Probe probe_with(const Json& more = Json::object()) const {
    Json values = {{"files", (folder_ / "sheets").string()}, {"size", 7}};
    values.update(more);
    return probe(workflow_, values, registry_, folder_ / "project");
  }
  [[nodiscard]] static std::string problems_of(const Probe& seen) { return flow::describe(seen.problems); }
  [[nodiscard]] static std::string findings_of(const Probe& seen) {
    std::string text;
    for (const auto& finding : seen.findings) text += finding.text + "; ";
    return text;
  }

  fs::path folder_ = fs::temp_directory_path() / fmt::format("frazil-probe-{}", ::getpid());
  flow::Registry registry_;
  flow::Workflow workflow_;
};

TEST_F(ProbeTest, AStartWithNothingWrongSaysWhatIsThereAndMakesNothing) {
  write("a.txt", "even");
  write("b.txt", "even");
  const auto seen = probe_with();
  EXPECT_EQ(problems_of(seen) + findings_of(seen), "");
  ASSERT_EQ(seen.sources.size(), 1U);
  EXPECT_EQ(seen.sources[0].count, 2);
  EXPECT_EQ(seen.sources[0].first, "a.txt");
  ASSERT_EQ(seen.told.size(), 1U);
  EXPECT_FALSE(seen.told[0].is_taken) << "it is set";
  EXPECT_FALSE(fs::exists(folder_ / "project"));
  EXPECT_EQ(to_json(seen).at("sources").at(0).at("count"), 2);
}

TEST_F(ProbeTest, FoldersAndFilesThatAreNotThereAreRefusedAllAtOnceWithWhatWasMeant) {
  const auto seen = probe_with({{"files", (folder_ / "sheet").string()}, {"key", (folder_ / "none").string()}});
  EXPECT_EQ(seen.problems.size(), 2U);
  EXPECT_NE(problems_of(seen).find("did you mean " + (folder_ / "sheets").string() + "?"), std::string::npos)
      << problems_of(seen);
  write("a.txt", "even");
  const auto deep = probe_with({{"files", (folder_ / "sheets" / "Data" / "today").string()}});
  EXPECT_NE(problems_of(deep).find("there are such files in " + (folder_ / "sheets").string()), std::string::npos)
      << problems_of(deep);
}

TEST_F(ProbeTest, ARequiredValueIsAskedForWithWhatTheFilesSay) {
  write("a.txt", "odd");
  const auto seen = probe_with({{"size", nullptr}});
  EXPECT_NE(problems_of(seen).find("is required: size; the sheet says 7 mm"), std::string::npos) << problems_of(seen);
  EXPECT_EQ(findings_of(seen), "") << "nothing is held against a value that nobody gave";
}

TEST_F(ProbeTest, WhatStopsAllFilesIsAProblemWhatStopsSomeAFinding) {
  write("a.txt", "stuck");
  EXPECT_NE(problems_of(probe_with()).find("sheets stick. Dry them"), std::string::npos);
  write("b.txt", "even");
  const auto seen = probe_with();
  EXPECT_EQ(problems_of(seen), "");
  EXPECT_NE(findings_of(seen).find("sheets stick"), std::string::npos);
}

TEST_F(ProbeTest, OneOddFileAmongTheFirstIsNamed) {
  write("a.txt", "even");
  write("b.txt", "odd");
  EXPECT_NE(findings_of(probe_with()).find("the sheet is odd (1 of the last 2 files, b.txt was the last)"),
            std::string::npos)
      << findings_of(probe_with());
}

TEST_F(ProbeTest, FilesOfAnotherKindThanExpectedAreNamed) {
  write("a.jpg", "");
  EXPECT_NE(findings_of(probe_with()).find("there are 1 *.jpg"), std::string::npos) << findings_of(probe_with());
  write("b.txt", "even");
  const auto seen = probe_with({{"files", (folder_ / "sheets" / "x*.txt").string()}});
  EXPECT_NE(findings_of(seen).find("no file fits; there are 1 *.txt"), std::string::npos) << findings_of(seen);
  fs::remove(folder_ / "sheets" / "a.jpg");
  fs::remove(folder_ / "sheets" / "b.txt");
  EXPECT_EQ(findings_of(probe_with()), "") << "an empty folder is one that waits";
}

TEST_F(ProbeTest, ADiskTooSmallForANightOrForWhatIsExpectedIsSaid) {
  write("a.txt", "even");
  const double free_bytes = probe_with({{"bytes", 1}}).free_bytes;
  const auto night = probe_with({{"bytes", free_bytes / 300}});  // an hour as fast cameras record
  ASSERT_EQ(night.findings.size(), 1U) << findings_of(night);
  EXPECT_EQ(night.findings[0].kind, AlarmKind::disk);
  EXPECT_EQ(findings_of(probe_with({{"bytes", free_bytes / 300}, {"expected", 20}})), "")
      << "enough for what will come";
  EXPECT_NE(findings_of(probe_with({{"bytes", free_bytes / 10}, {"expected", 20}})).find("20 are expected"),
            std::string::npos);
}

}  // namespace
}  // namespace frazil::engine
