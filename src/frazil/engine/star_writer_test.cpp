// Files of sets, put together from what stands in them and what has come.
#include "frazil/engine/star_writer.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "frazil/base/files.hpp"
#include "frazil/base/random.hpp"

namespace frazil::engine {
namespace {

/// Rows hang on the place of their group among all groups, and on how wide the first two records are.
class ToyLayout final : public flow::TableLayout {
 public:
  ToyLayout(std::vector<std::string> groups, std::size_t width) : groups_(std::move(groups)), width_(width) {}
  std::string head() const override {
    std::string text = "groups";
    for (const auto& group : groups_) text += " " + group;
    return text + "\n";
  }
  std::string tail() const override { return "end\n"; }
  std::string rows(const Json& record) const override {
    std::string text;
    for (int i = 0; i < record.at("rows").get<int>(); ++i)
      text += fmt::format("{:>{}} {}\n", record.at("name").get<std::string>(), width_, place(record.at("group")));
    return text;
  }
  std::string basis(const std::string& part) const override { return fmt::format("{} {}", place(part), width_); }

 private:
  std::ptrdiff_t place(const std::string& group) const {
    return std::find(groups_.begin(), groups_.end(), group) - groups_.begin();
  }
  std::vector<std::string> groups_;
  std::size_t width_;
};

class ToyFormat final : public flow::TableFormat {
 public:
  std::string part(const Json& record) override { return record.at("group"); }
  std::unique_ptr<flow::TableLayout> layout(const std::vector<std::string>& parts, const NextRecord& next) override {
    std::size_t width = 0;
    for (int i = 0; i < 2; ++i)
      if (const auto record = next()) width = std::max(width, record->at("name").get<std::string>().size());
    return std::make_unique<ToyLayout>(parts, width);
  }
};

class SetFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / fmt::format("frazil-set-file-{}", ::getpid());
    make_folders(folder_);
    path_ = folder_ / "set.star";
    make_writer();
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  void make_writer() { file_.emplace(path_, std::make_unique<ToyFormat>()); }
  void add(std::int64_t item, const std::string& group, int rows, const std::string& name) {
    records_[item] = {{"group", group}, {"rows", rows}, {"name", name}};
  }
  /// Writes the set and compares the file with the whole table. @return records that were read
  int write(const std::vector<std::int64_t>& items) {
    int read = 0;
    file_->write(items, [&](std::int64_t item) {
      ++read;
      return records_.at(item);
    });
    std::vector<Json> all;
    for (const auto item : items) all.push_back(records_.at(item));
    ToyFormat whole;
    EXPECT_EQ(read_text(path_), flow::whole_table(whole, all));
    return read;
  }

  std::filesystem::path folder_, path_;
  std::map<std::int64_t, Json> records_;
  std::optional<SetFile> file_;
};

TEST_F(SetFileTest, HoldsTheWholeTableHoweverTheSetHasChanged) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    Rng rng(seed);
    records_.clear();
    std::filesystem::remove(path_);
    make_writer();
    std::vector<std::int64_t> items;
    for (int change = 0; change < 40; ++change) {
      const auto place = static_cast<std::ptrdiff_t>(rng.below(items.size() + 1));
      if (rng.below(4) == 0 && place < static_cast<std::ptrdiff_t>(items.size())) {
        items.erase(items.begin() + place);
      } else {
        const auto item = static_cast<std::int64_t>(records_.size()) + 1;
        add(item, std::string(1, static_cast<char>('a' + rng.below(rng.below(3) == 0 ? 3 : 1))),
            static_cast<int>(rng.below(4)), std::string(1 + rng.below(rng.below(9) == 0 ? 6 : 2), 'n'));
        items.insert(rng.below(2) == 0 ? items.end() : items.begin() + place, item);
      }
      (void)write(items);
      if (rng.below(15) == 0) make_writer();  // another start of the program
      if (rng.below(15) == 0) write_text(path_, "something else");
    }
  }
}

TEST_F(SetFileTest, OnlyWhatIsNewIsRead) {
  std::vector<std::int64_t> items;
  for (int i = 1; i <= 1000; ++i) {
    add(i, i % 2 == 0 ? "a" : "b", 3, "name");
    items.push_back(i);
  }
  EXPECT_GE(write(items), 2000) << "for its part, and for its rows";
  const auto before = std::filesystem::last_write_time(path_);
  constexpr int first = 2;  // whose widths count
  EXPECT_LE(write(items), first);
  EXPECT_EQ(std::filesystem::last_write_time(path_), before) << "it is as it should be";
  add(1001, "a", 3, "name");
  items.push_back(1001);
  EXPECT_LE(write(items), first + 2);
  items.erase(items.begin() + 500);
  EXPECT_LE(write(items), first);
  add(1002, "c", 3, "name");
  items.push_back(1002);
  EXPECT_LE(write(items), first + 2) << "another group at the end changes no row";
  items.insert(items.begin(), 1003);
  add(1003, "c", 3, "name");
  EXPECT_GE(write(items), 1000) << "its number has changed, and those of the others";
}

TEST_F(SetFileTest, AFileThatIsRightAlreadyStaysWhereItIs) {
  add(1, "a", 2, "name");
  (void)write({1});
  const auto before = std::filesystem::last_write_time(path_);
  make_writer();
  (void)write({1});
  EXPECT_EQ(std::filesystem::last_write_time(path_), before);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1) << "nothing lies beside it";
}

}  // namespace
}  // namespace frazil::engine
