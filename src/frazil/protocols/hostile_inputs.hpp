// Inputs of every kind of record, sound or spoilt in one way, for tests that run whatever protocol there is.
#pragma once

#include <array>
#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>

#include "frazil/base/random.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/star.hpp"
#include "frazil/io/star_optics.hpp"
#include "frazil/model/camera.hpp"
#include "frazil/model/records.hpp"

namespace frazil::protocols {

/// What is wrong with the images or tables of an input.
enum class Spoil { none, nan_pixel, all_nan, infinite, constant, huge, tiny, hot, small, nan_cell, inf_cell, no_rows };

inline constexpr std::array<std::string_view, 12> spoil_names{"none",     "nan_pixel", "all_nan",  "infinite",
                                                              "constant", "huge",      "tiny",     "hot",
                                                              "small",    "nan_cell",  "inf_cell", "no_rows"};

/// Writes files into one folder and gives the records that name them.
class HostileInputs {
 public:
  HostileInputs(std::filesystem::path folder, Spoil spoil) : folder_(std::move(folder)), spoil_(spoil) {
    std::filesystem::create_directories(folder_);
  }

  /// A record of that kind; null when this test has no maker for it.
  [[nodiscard]] Json make(std::string_view kind) {
    const std::map<std::string_view, std::function<Json()>> makers{
        {Movie::kind, [&] { return movie(); }},
        {Micrograph::kind, [&] { return micrograph(); }},
        {MicrographMask::kind, [&] { return mask(); }},
        {Motion::kind, [&] { return motion(); }},
        {Spectra::kind, [&] { return spectra(); }},
        {Detector::kind, [&] { return detector(); }},
        {DetectorTrend::kind, [&] { return detector_trend(); }},
        {CtfFit::kind, [&] { return record_to_json(fit()); }},
        {CtfTrend::kind, [&] { return ctf_trend(); }},
        {Coordinates::kind, [&] { return coordinates(); }},
        {Particles::kind, [&] { return particles(); }},
        {Classes::kind, [&] { return classes(); }}};
    const auto found = makers.find(kind);
    return found == makers.end() ? Json() : found->second();
  }

 private:
  /// A number of a table or record.
  [[nodiscard]] double cell(double good) const {
    if (spoil_ == Spoil::nan_cell) return std::numeric_limits<double>::quiet_NaN();
    return spoil_ == Spoil::inf_cell ? std::numeric_limits<double>::infinity() : good;
  }
  [[nodiscard]] int side(int good) const { return spoil_ == Spoil::small ? 8 : good; }
  [[nodiscard]] int rows(int good) const { return spoil_ == Spoil::no_rows ? 0 : good; }

  /// Noise with dark discs; the first image of a file bears what spoils a pixel.
  Image image(int n, double mean, double sigma, bool first) {
    constexpr float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
    Image out(n, n, 2_A);
    for (int y = 0; y < n; ++y)
      for (int x = 0; x < n; ++x) {
        const bool disc = std::hypot(x % 64 - 32, y % 64 - 32) < 10;
        out(x, y) = static_cast<float>(mean + sigma * (rng_.normal() - (disc ? 2 : 0)));
      }
    for (float& v : out.pixels()) {
      if (spoil_ == Spoil::all_nan) v = nan;
      if (spoil_ == Spoil::constant) v = static_cast<float>(mean);
      if (spoil_ == Spoil::huge) v *= 1e30F;
      if (spoil_ == Spoil::tiny) v *= 1e-30F;
    }
    if (first && spoil_ == Spoil::nan_pixel) out(n / 2, n / 3) = nan;
    if (first && spoil_ == Spoil::infinite) out(n / 2, n / 3) = -inf;
    if (first && spoil_ == Spoil::hot) out(n / 2, n / 3) = 1e8F;
    return out;
  }

  std::string stack(const std::string& name, int n, int count, double mean, double sigma) {
    const auto path = folder_ / name;
    io::StackWriter writer(path, n, n, 2_A);
    for (int i = 0; i < count; ++i) writer.append(image(n, mean, sigma, i == 0));
    writer.close();
    return path.string();
  }

  Json movie() {
    Movie out;
    out.nx = out.ny = side(128);
    out.frames = 4;
    out.path = stack("movie.mrcs", out.nx, out.frames, 10, 3);
    out.name = "movie.mrcs";
    out.pixel_size = 2_A;
    out.dose_per_frame = Dose(cell(1));
    return record_to_json(out);
  }

  Json micrograph() {
    Micrograph out;
    out.nx = out.ny = side(256);
    out.path = stack("area.mrc", out.nx, 1, 30, 5);
    out.name = "area.mrc";
    out.pixel_size = Angstrom(cell(2));
    return record_to_json(out);
  }

  Json mask() {
    MicrographMask out;
    out.mask = stack("mask.mrc", side(256), 1, 0, 0.1);
    out.name = "area.mrc";
    out.masked_fraction = cell(0.1);
    return record_to_json(out);
  }

  Json motion() {
    Motion out;
    out.movie = "movie.mrcs";
    out.frames = rows(4);
    for (int t = 0; t < out.frames; ++t) out.shifts_px.push_back({cell(0.5 * t), 5.0 * t});
    out.total_path = Angstrom(cell(10));
    return record_to_json(out);
  }

  Json spectra() {
    Spectra out;
    out.name = "movie.mrcs";
    out.path = stack("spectra.mrcs", side(128), 1, 10, 1);
    out.pixel_size = 2_A;
    out.relative_variance = cell(0.05);
    return record_to_json(out);
  }

  Json detector() {
    Detector out;
    out.movie = out.name = "movie.mrcs";
    out.frames = 4;
    out.counts = cell(10);
    out.dose_per_frame = Dose(cell(1));
    out.declared_dose_per_frame = 1_e_per_A2;
    out.residual_sigma = 1e-4;
    return record_to_json(out);
  }

  Json detector_trend() {
    DetectorTrend out;
    out.counts = cell(10);
    return record_to_json(out);
  }

  Json ctf_trend() {
    CtfTrend out;
    out.count = 20;
    out.sigma_cs = Millimetre(cell(0.1));
    return record_to_json(out);
  }

  CtfFit fit() {
    CtfFit out;
    out.micrograph = out.name = "area.mrc";
    out.pixel_size = 2_A;
    out.defocus_u = Angstrom(cell(15000));
    out.defocus_v = 14800_A;
    out.fit_resolution = 5_A;
    out.score = 0.9;
    out.sigma_defocus = 20_A;
    out.quality.confidence = out.quality.visibility = 0.9;
    out.quality.sigma_cs = 0.3_mm;
    return out;
  }

  Json coordinates() {
    Coordinates out;
    out.micrograph = out.name = "area.mrc";
    io::StarTable table("", {"rlnCoordinateX", "rlnCoordinateY", "rlnAutopickFigureOfMerit", "rlnMicrographName"});
    for (int i = 0; i < rows(9); ++i) {
      const auto row = table.add_row();
      table.set(row, 0, i == 0 ? cell(64) : 64 + 64.0 * (i % 3));
      table.set(row, 1, 64 + 64.0 * (i / 3));
      table.set(row, 2, i == 1 ? cell(5) : 5.0);
      table.set(row, 3, std::string_view("area.mrc"));
    }
    out.coordinates = write(std::move(table), "coordinates.star", false);
    out.count = rows(9);
    out.diameter = Angstrom(60);
    return record_to_json(out);
  }

  Json particles() {
    constexpr int count = 60;
    Particles out;
    out.box = side(48);
    out.stack = stack("particles.mrcs", out.box, count, 0, 1);
    out.star = write(particle_table(rows(count)), "particles.star", true);
    out.name = "particles";
    out.count = rows(count);
    out.pixel_size = 2_A;
    out.diameter = 50_A;
    return record_to_json(out);
  }

  Json classes() {
    constexpr int count = 4;
    Classes out;
    out.classes = count;
    out.box = side(48);
    out.averages = stack("averages.mrcs", out.box, count, 0, 1);
    auto members = particle_table(rows(60));
    members.add_column("rlnClassNumber");
    for (std::size_t row = 0; row < members.rows(); ++row)
      members.set(row, "rlnClassNumber", static_cast<long>(row % count) + 1);
    (void)stack("particles.mrcs", out.box, 60, 0, 1);
    out.particles = write(std::move(members), "members.star", true);
    out.pixel_size = 2_A;
    out.diameter = 50_A;
    out.particle_count = rows(60);
    for (int k = 0; k < count; ++k) {
      out.counts.push_back(15);
      out.resolution.emplace_back(k == 0 ? cell(12) : 12);
    }
    return record_to_json(out);
  }

  io::StarTable particle_table(int count) {
    io::StarTable table("particles", {"rlnImageName", "rlnMicrographName", "rlnCoordinateX", "rlnCoordinateY",
                                      "rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle", "rlnOpticsGroup"});
    for (int i = 0; i < count; ++i) {
      const auto row = table.add_row();
      table.set(row, 0, io::join_reference(i, (folder_ / "particles.mrcs").string()));
      table.set(row, 1, std::string_view("area.mrc"));
      table.set(row, 2, i == 1 ? cell(10) : 10.0 * i);
      table.set(row, 3, 20.0 * i);
      table.set(row, 4, i == 0 ? cell(15000) : 15000.0);
      table.set(row, 5, 14800.0);
      table.set(row, 6, i == 2 ? cell(30) : 30.0);
      table.set(row, 7, 1);
    }
    return table;
  }

  std::string write(io::StarTable table, const std::string& name, bool with_optics) {
    io::StarFile file;
    if (with_optics) {
      std::vector<io::OpticsGroup> groups;
      io::OpticsGroup group;
      group.image_pixel_size = group.micrograph_pixel_size = 2_A;
      group.image_size = side(48);
      io::add_group(groups, group);
      file.add(io::optics_table(groups));
    }
    file.add(std::move(table));
    io::write_star(folder_ / name, file);
    return (folder_ / name).string();
  }

  std::filesystem::path folder_;
  Spoil spoil_;
  Rng rng_{11};
};

}  // namespace frazil::protocols
