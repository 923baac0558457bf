// Set tools on particles: union, intersection, split, sample, filter by expression, positions for other programs.
#pragma once

#include "frazil/flow/protocol.hpp"
#include "frazil/model/records.hpp"

namespace frazil::protocols {

enum class CoordinateFormat { star, box, csv };
constexpr auto names_of(CoordinateFormat) { return std::array{"star", "box", "csv"}; }

struct TwoParticleSets {
  Particles particles, others;
  static constexpr auto ports() {
    using I = TwoParticleSets;
    return std::tuple(flow::port(&I::particles, "particles"), flow::port(&I::others, "others"));
  }
};

/// One set parted into two by a choice; nothing on a port where nothing is.
struct PartedParticles {
  std::optional<Particles> accepted, set_aside;
  static constexpr auto ports() {
    using O = PartedParticles;
    return std::tuple(flow::port(&O::accepted, "accepted"), flow::port(&O::set_aside, "set_aside"));
  }
};

struct SamePlaceParams {
  Angstrom tolerance = 4_A;
  static constexpr auto fields() {
    return std::tuple(field(&SamePlaceParams::tolerance, "tolerance",
                            "Particles of one micrograph that lie so near to each other are one")
                          .range(0_A, 1000_A));
  }
};

struct Union {
  static constexpr flow::Info info{.name = "union",
                                   .title = "Union of particles",
                                   .version = 3,
                                   .help = "All particles of two sets; those in both once, as in the first.",
                                   .state = flow::State::stable};
  using Params = SamePlaceParams;
  using Input = TwoParticleSets;
  using Output = Particles;
  Params params;
  [[nodiscard]] Output process(const Input& input, flow::Context& context) const;
};

/// Particles are told apart by micrograph and place, so that a choice made on binned images selects among full-size
/// ones.
struct Intersect {
  static constexpr flow::Info info{
      .name = "intersect",
      .title = "Subset by another set",
      .version = 3,
      .help = "Those particles that are in another set too, whatever the size of its images; the rest is set aside.",
      .state = flow::State::stable};
  using Params = SamePlaceParams;
  using Input = TwoParticleSets;
  using Output = PartedParticles;
  static constexpr std::string_view json_port = "accepted";
  Params params;
  [[nodiscard]] Output process(const Input& input, flow::Context& context) const;
};

struct FractionParams {
  double fraction = 0.5;
  static constexpr auto fields() {
    return std::tuple(
        field(&FractionParams::fraction, "fraction", "Share of the particles in the first part").range(0, 1));
  }
};

struct HalvedParticles {
  std::optional<Particles> first, second;
  static constexpr auto ports() {
    using O = HalvedParticles;
    return std::tuple(flow::port(&O::first, "first"), flow::port(&O::second, "second"));
  }
};

struct Split {
  static constexpr flow::Info info{.name = "split",
                                   .title = "Split at random",
                                   .version = 2,
                                   .help = "Two random parts of a set, the same for the same seed.",
                                   .state = flow::State::stable};
  using Params = FractionParams;
  using Input = Particles;
  using Output = HalvedParticles;
  static constexpr std::string_view json_port = "first";
  Params params;
  [[nodiscard]] Output process(const Particles& particles, flow::Context& context) const;
};

struct SampleParams {
  int count = 0;
  double fraction = 0.1;
  static constexpr auto fields() {
    using P = SampleParams;
    return std::tuple(
        field(&P::count, "count", "So many particles, or all if there are fewer; 0: a fraction").range(0, 100000000),
        field(&P::fraction, "fraction", "Share of the particles, if no count is given").range(0, 1));
  }
};

struct Sample {
  static constexpr flow::Info info{.name = "sample",
                                   .title = "Random sample",
                                   .version = 2,
                                   .help = "Some particles of a set at random, the same for the same seed.",
                                   .state = flow::State::stable};
  using Params = SampleParams;
  using Input = Particles;
  using Output = Particles;
  Params params;
  [[nodiscard]] Output process(const Particles& particles, flow::Context& context) const;
};

struct FilterItemsParams {
  std::string expression;
  static constexpr auto fields() {
    return std::tuple(field(&FilterItemsParams::expression, "expression",
                            "Condition on STAR columns: \"rlnDefocusU < 20000 && rlnAutopickFigureOfMerit >= 5\"")
                          .required());
  }
};

struct FilterItems {
  static constexpr flow::Info info{
      .name = "filter-items",
      .title = "Filter by expression",
      .version = 3,
      .help = "Those particles whose STAR columns fulfil a condition; the rest is set aside.",
      .state = flow::State::stable};
  using Params = FilterItemsParams;
  using Input = Particles;
  using Output = PartedParticles;
  static constexpr std::string_view json_port = "accepted";
  Params params;
  [[nodiscard]] Output process(const Particles& particles, flow::Context& context) const;
};

struct ExportCoordinatesParams {
  CoordinateFormat format = CoordinateFormat::box;
  int box = 256;
  static constexpr auto fields() {
    using P = ExportCoordinatesParams;
    return std::tuple(field(&P::format, "format", "star: RELION; box: EMAN, corner and size; csv: x,y"),
                      field(&P::box, "box", "Side of the box in pixels, for the format box").range(2, 8192));
  }
};

struct ExportCoordinates {
  static constexpr flow::Info info{.name = "export-coordinates",
                                   .title = "Positions for other programs",
                                   .version = 2,
                                   .help = "Write particle positions in a format that other programs read.",
                                   .state = flow::State::stable};
  using Params = ExportCoordinatesParams;
  using Input = Coordinates;
  using Output = Coordinates;
  Params params;
  [[nodiscard]] Output process(const Coordinates& coordinates, flow::Context& context) const;
};

}  // namespace frazil::protocols
