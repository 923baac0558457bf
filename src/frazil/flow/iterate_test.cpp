#include "frazil/flow/iterate.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "frazil/base/error.hpp"

namespace frazil::flow {
namespace {

namespace fs = std::filesystem;

struct Value {
  static constexpr std::string_view kind = "Value";
  int value = 0, round = 0;
  std::string file;
  static constexpr auto fields() {
    using V = Value;
    return std::tuple(field(&V::value, "value", "A number"), field(&V::round, "round", "Steps"),
                      field(&V::file, "file", "Where it stands"));
  }
};

struct Halve {
  static constexpr Info info{.name = "halve", .title = "Halve", .version = 1, .help = "Halves until nothing is left."};
  struct Params {
    static constexpr auto fields() { return std::tuple(); }
  };
  using Input = Value;
  using State = Value;
  using Output = Value;
  Params params;
  Value write(int value, int round, Context& context) const {
    std::ofstream(context.output("value.txt")) << value;
    return {value, round, context.reference("value.txt")};
  }
  State start(const std::vector<Value>& members, Context& context) const {
    int sum = 0;
    for (const auto& member : members) sum += member.value;
    return write(sum, 0, context);
  }
  bool done(const State& state) const { return state.value == 0; }
  State step(const State& state, Context& context) const {
    int value = 0;
    std::ifstream(context.input(state.file)) >> value;
    return write(value / 2, state.round + 1, context);
  }
  Output finish(const State& state, Context& context) const { return write(100 + state.value, state.round, context); }
};

class Folder final : public Context {
 public:
  Folder() { fs::create_directories(path_ / "out"); }
  ~Folder() override { fs::remove_all(path_); }
  fs::path output(std::string_view name) override { return path_ / "out" / name; }
  std::string reference(std::string_view name) const override { return "out/" + std::string(name); }
  fs::path input(const std::string& reference) const override { return path_ / reference; }
  fs::path scratch() override {
    fs::create_directories(path_ / "scratch");
    return path_ / "scratch";
  }
  int threads() const override { return 1; }
  Rng rng() const override { return Rng(1); }
  void check_cancelled() const override {
    if (++checks_ > allowed_) throw Error(ErrorCode::cancelled, "stop");
  }
  void progress(double, std::string_view what) override { told_.emplace_back(what); }

  std::vector<std::string> told_;
  int allowed_ = 1000;

 private:
  mutable int checks_ = 0;
  fs::path path_ = fs::temp_directory_path() / fmt::format("frazil-iterate-{}", ::getpid());
};

Records members() { return {{"values", {{{"value", 3}}, {{"value", 10}}}}}; }

TEST(Iterate, GoesOnUntilItIsDoneAndKeepsTheLastStatesOnly) {
  const auto protocol = make_iterate<Halve>();
  EXPECT_EQ(protocol.shape, Shape::iterate);
  Folder folder;
  const auto outputs = run_iteration(protocol, Json::object(), members(), folder);
  ASSERT_EQ(outputs.size(), 1u);
  EXPECT_EQ(outputs[0].second[0]["value"], 100);
  EXPECT_EQ(outputs[0].second[0]["round"], 4) << "13, 6, 3, 1, 0";
  EXPECT_EQ(outputs[0].second[0]["file"], "out/value.txt");
  std::size_t states = 0;
  for (const auto& entry : fs::directory_iterator(folder.scratch())) states += entry.is_directory();
  EXPECT_EQ(states, 3u) << "start and the last two";
  EXPECT_EQ(folder.told_.back(), "step 4");
}

TEST(Iterate, StopsBetweenCalls) {
  Folder folder;
  folder.allowed_ = 2;
  EXPECT_THROW((void)run_iteration(make_iterate<Halve>(), Json::object(), members(), folder), Error);
}

TEST(Iterate, ACallWithoutItsStageIsADefect) {
  Folder folder;
  EXPECT_THROW((void)make_iterate<Halve>().run(Json::object(), members(), nullptr, folder), Error);
}

}  // namespace
}  // namespace frazil::flow
