#include <gtest/gtest.h>

#include "frazil/model/kinds.hpp"
#include "frazil/model/records.hpp"

namespace frazil {
namespace {

TEST(Optics, WavelengthsAreTheTabulatedOnes) {
  EXPECT_NEAR(wavelength(300_kV).value(), 0.01969, 1e-5);
  EXPECT_NEAR(wavelength(200_kV).value(), 0.02508, 1e-5);
  EXPECT_NEAR(wavelength(100_kV).value(), 0.03701, 1e-5);
}

TEST(CtfFunction, IsTheSameAfterSwappingAxesAndTurningBy90Degrees) {
  const Optics optics;
  const Ctf c{15000_A, 14000_A, 33_deg, 20_deg, {}};
  const Ctf turned{14000_A, 15000_A, 123_deg, 20_deg, {}};
  const CtfFunction a(c, optics), b(turned, optics), d(canonical(turned), optics);
  for (double k = 0.01; k < 0.4; k += 0.013) {
    EXPECT_NEAR(a(k, 0.4 - k), b(k, 0.4 - k), 1e-9);
    EXPECT_NEAR(a(k, 0.4 - k), d(k, 0.4 - k), 1e-9);
  }
}

TEST(CtfFunction, HasDefocusUAlongItsAngleAndStartsPositive) {
  const Optics optics{300_kV, 0_mm, 0.1};
  const Ctf c{20000_A, 10000_A, 30_deg, 0_deg, {}};
  const double k = 0.05, a = to_rad(30_deg), lambda = wavelength(300_kV).value();
  const CtfFunction f(c, optics);
  EXPECT_NEAR(f.phase(k * std::cos(a), k * std::sin(a)) - std::asin(0.1), 3.14159265 * lambda * 20000 * k * k, 1e-6);
  EXPECT_NEAR(f(0, 0), 0.1, 1e-12);
}

TEST(Records, RoundTripThroughJson) {
  Motion m;
  m.shifts_px = {{0, 0}, {1.5, -2}};
  m.total_path = 12_A;
  const auto json = record_to_json(m);
  EXPECT_EQ(json.at("total_path_A"), 12.0);
  EXPECT_EQ(record_to_json(record_from_json<Motion>(json)), json);
  Movie movie;
  movie.optics.voltage = 200_kV;
  EXPECT_EQ(record_from_json<Movie>(record_to_json(movie)).optics.voltage, 200_kV);
}

TEST(Kinds, KnowTheFilesOfARecordAndRenameThem) {
  Micrograph mic;
  mic.path = "a/b.mrc";
  mic.thumbnail = "a/b.png";
  auto record = record_to_json(mic);
  EXPECT_EQ(files_of("Micrograph", record), (std::vector<std::string>{"a/b.mrc", "a/b.png"}));
  rename_files("Micrograph", record, [](const std::string& name) { return "/x/" + name; });
  EXPECT_EQ(record["path"], "/x/a/b.mrc");
  EXPECT_TRUE(files_of("something else", record).empty());
}

TEST(Kinds, RefuseARecordWithAFieldOfAnotherType) {
  ASSERT_NE(find_kind("Coordinates"), nullptr);
  EXPECT_EQ(find_kind("Coordinates")->complete({{"count", 3}})["count"], 3);
  EXPECT_THROW((void)find_kind("Coordinates")->complete({{"count", "three"}}), Error);
}

TEST(Kinds, NameOnlyFieldsThatExistAsFiles) {
  for (const auto& kind : kinds())
    for (const auto& file : kind.files)
      EXPECT_TRUE(std::any_of(kind.fields.begin(), kind.fields.end(),
                              [&](const FieldInfo& f) { return f.name == file && f.type == "string"; }))
          << kind.name << " " << file;
}

}  // namespace
}  // namespace frazil
