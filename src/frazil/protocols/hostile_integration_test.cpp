// Every protocol of the registry on inputs that nobody should have: it ends, gives finite results, or refuses with a
// sentence. A new protocol is covered by being registered; a new kind of record needs a maker in hostile_inputs.hpp.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "frazil/base/files.hpp"
#include "frazil/flow/iterate.hpp"
#include "frazil/io/test_files.hpp"
#include "frazil/protocols/hostile_inputs.hpp"
#include "frazil/protocols/register.hpp"
#include "frazil/protocols/test_context.hpp"

namespace frazil::protocols {
namespace {

namespace fs = std::filesystem;

constexpr double longest_s = 60;  // of one execution; without sanitizers they take well under one second

/// Asks to stop after so long: a loop that never looks does not end at all.
class TimedContext final : public flow::Context {
 public:
  TimedContext(const fs::path& folder, int threads) : inner_(folder, threads) {}
  fs::path output(std::string_view name) override { return inner_.output(name); }
  [[nodiscard]] std::string reference(std::string_view name) const override { return inner_.reference(name); }
  [[nodiscard]] fs::path input(const std::string& reference) const override { return inner_.input(reference); }
  fs::path scratch() override { return inner_.scratch(); }
  [[nodiscard]] int threads() const override { return inner_.threads(); }
  [[nodiscard]] Rng rng() const override { return inner_.rng(); }
  void check_cancelled() const override {
    if (std::chrono::steady_clock::now() > end_) throw Error(ErrorCode::cancelled, "it takes too long");
  }
  void progress(double, std::string_view) override {}

 private:
  TestContext inner_;
  std::chrono::steady_clock::time_point end_ =
      std::chrono::steady_clock::now() +
      std::chrono::duration_cast<std::chrono::steady_clock::duration>(std::chrono::duration<double>(longest_s));
};

/// Parameters under which a protocol has something to do with the small inputs here, and soon.
Json params_of(const flow::Protocol& protocol) {
  static const std::map<std::string, Json> chosen{
      {"classify-2d", {{"classes", 2}, {"epochs", 1}, {"final_passes", 1}, {"background_classes", false}}},
      {"initial-volume",
       {{"starts", 1},
        {"iterations", 5},
        {"passes", 1},
        {"first_batch", 20},
        {"last_batch", 20},
        {"angular_step", 40},
        {"symmetry", "d2"}}},
      {"estimate-ctf", {{"box", 128}}},
      {"assess-ctf", {{"box", 128}, {"defocus_u", 15000}}},
      {"pick", {{"diameter", 50}}},
      {"mask-micrograph", {{"diameter", 50}}},
      {"extract", {{"box", 32}}},
      {"filter-items", {{"expression", "rlnDefocusU > 5000"}}}};
  const auto found = chosen.find(protocol.name);
  Json params = found == chosen.end() ? Json::object() : found->second;
  for (const auto& field : protocol.params) {
    if (!field.required || params.contains(field.name)) continue;
    params[field.name] = field.type == "string" ? Json("x") : Json(field.low.value_or(1));
  }
  // Only those that the protocol has: a parameter that is renamed must not stop the test.
  for (auto it = params.begin(); it != params.end();)
    it = std::any_of(protocol.params.begin(), protocol.params.end(), [&](const auto& f) { return f.name == it.key(); })
             ? std::next(it)
             : params.erase(it);
  return params;
}

void expect_finite(const Json& json, const std::string& place) {
  if (json.is_structured()) {
    for (const auto& [key, value] : json.items()) expect_finite(value, place + "." + key);
  } else if (json.is_number_float() && !std::isfinite(json.get<double>())) {
    const bool may_lack = place.ends_with(".iceness") || place.ends_with("decision.0.value");
    EXPECT_TRUE(may_lack) << place << " is " << json.get<double>();
  }
}

bool is_brought(const std::string& label) {
  // Columns of the particles' tables here; who takes rows over leaves the cells as they came.
  return label == "rlnCoordinateX" || label == "rlnDefocusU" || label == "rlnDefocusAngle";
}

/// Images and tables that a protocol has left in a folder. Numbers that a table of particles brought may stand in it
/// again; whatever is computed is finite.
void expect_finite_files(const fs::path& folder) {
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const auto extension = entry.path().extension().string();
    if (extension == ".mrc" || extension == ".mrcs") {
      const io::StackReader reader(entry.path());
      for (int i = 0; i < reader.info().nz; ++i) {
        const auto image = reader.read(i);
        const auto bad =
            std::count_if(image.pixels().begin(), image.pixels().end(), [](float v) { return !std::isfinite(v); });
        EXPECT_EQ(bad, 0) << entry.path().filename() << " section " << i;
      }
    }
    if (extension != ".star") continue;
    for (const auto& table : io::read_star(entry.path()).tables)
      for (std::size_t row = 0; row < table.rows(); ++row)
        for (int column = 0; column < table.columns(); ++column) {
          const auto text = table.text(row, column);
          if (table.name == "particles" && is_brought(table.labels()[static_cast<std::size_t>(column)])) continue;
          for (const std::string_view word : {"nan", "-nan", "inf", "-inf"})
            EXPECT_NE(text, word) << table.place(row) << " " << table.labels()[static_cast<std::size_t>(column)];
        }
  }
}

/// What one execution gave; nothing when it refused, as it may.
std::optional<flow::Records> run(const flow::Protocol& protocol, const flow::Records& inputs,
                                 const flow::Records* previous, const fs::path& folder, int threads) {
  fs::create_directories(folder);
  TimedContext context(folder, threads);
  try {
    const auto params = params_of(protocol);
    auto outputs = protocol.shape == flow::Shape::iterate ? flow::run_iteration(protocol, params, inputs, context)
                                                          : protocol.run(params, inputs, previous, context);
    for (const auto& [port, list] : outputs) expect_finite(Json(list), port);
    expect_finite_files(folder);
    return outputs;
  } catch (const Error& error) {
    const std::string text = error.what();
    EXPECT_NE(error.code(), ErrorCode::bug) << text;
    EXPECT_NE(error.code(), ErrorCode::cancelled) << "it does not end";
    const bool names = text.find(".mrc") != std::string::npos || text.find(".star") != std::string::npos ||
                       text.find("_") != std::string::npos;
    EXPECT_TRUE(names) << "names neither file nor field: " << text;
  } catch (const std::exception& error) {
    ADD_FAILURE() << error.what();
  }
  return std::nullopt;
}

flow::Records inputs_of(const flow::Protocol& protocol, HostileInputs& made) {
  flow::Records inputs;
  for (const auto& port : protocol.inputs) {
    auto record = made.make(port.kind);
    if (record.is_null()) {
      ADD_FAILURE() << "hostile_inputs.hpp has no maker of kind " << port.kind;
      continue;
    }
    inputs.emplace_back(port.name, std::vector<Json>(port.many ? 2 : 1, record));
  }
  return inputs;
}

class Hostile : public testing::TestWithParam<std::string> {};

TEST_P(Hostile, InputsGiveFiniteResultsOrASentence) {
  const auto& protocol = registry().at(GetParam());
  const io::TestFolder folder;
  for (std::size_t s = 0; s < spoil_names.size(); ++s) {
    SCOPED_TRACE(spoil_names[s]);
    const auto name = std::string(spoil_names[s]);
    HostileInputs made(folder / name, static_cast<Spoil>(s));
    const auto inputs = inputs_of(protocol, made);
    for (const int threads : {1, 4}) {
      const auto outputs = run(protocol, inputs, nullptr, folder / fmt::format("{}_out{}", name, threads), threads);
      if (s == 0) {
        EXPECT_TRUE(outputs.has_value()) << "sound inputs are taken";
      }
      if (HasFatalFailure()) return;
    }
  }
}

/// A fold carries what it has seen into every later version.
TEST_P(Hostile, BatchesSpoilNoLaterVersion) {
  const auto& protocol = registry().at(GetParam());
  if (protocol.shape != flow::Shape::fold) return;
  const io::TestFolder folder;
  HostileInputs good(folder / "good", Spoil::none), again(folder / "again", Spoil::none);
  const auto first = run(protocol, inputs_of(protocol, good), nullptr, folder / "out1", 2);
  ASSERT_TRUE(first);
  for (const auto spoil : {Spoil::nan_pixel, Spoil::all_nan, Spoil::huge, Spoil::nan_cell}) {
    const auto name = std::string(spoil_names[static_cast<std::size_t>(spoil)]);
    SCOPED_TRACE(name);
    HostileInputs bad(folder / name, spoil);
    const auto second = run(protocol, inputs_of(protocol, bad), &*first, folder / (name + "_2"), 2);
    if (!second) continue;
    EXPECT_TRUE(run(protocol, inputs_of(protocol, again), &*second, folder / (name + "_3"), 2));
  }
}

/// One number of one record at a time.
TEST_P(Hostile, NumbersOfRecordsAreNotTakenForZero) {
  const auto& protocol = registry().at(GetParam());
  const io::TestFolder folder;
  HostileInputs made(folder / "good", Spoil::none);
  const auto inputs = inputs_of(protocol, made);
  for (std::size_t p = 0; p < inputs.size(); ++p)
    for (const auto& [key, value] : inputs[p].second.front().items()) {
      if (!value.is_number_float()) continue;
      SCOPED_TRACE(inputs[p].first + "." + key);
      auto spoilt = inputs;
      spoilt[p].second.front()[key] = nullptr;  // as the store gives NaN back
      const auto outputs = run(protocol, spoilt, nullptr, folder / fmt::format("{}_{}", p, key), 1);
      if (protocol.shape == flow::Shape::map) {
        EXPECT_FALSE(outputs && key != "iceness");
      }
    }
}

std::vector<std::string> names() {
  std::vector<std::string> list;
  for (const auto& protocol : registry().all())
    if (protocol.shape != flow::Shape::source) list.push_back(protocol.name);
  return list;
}

INSTANTIATE_TEST_SUITE_P(Protocols, Hostile, testing::ValuesIn(names()), [](const auto& tested) {
  auto name = tested.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
}  // namespace frazil::protocols
