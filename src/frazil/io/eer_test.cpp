#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "frazil/base/files.hpp"
#include "frazil/base/random.hpp"
#include "frazil/io/completeness.hpp"
#include "frazil/io/eer.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/movie_file.hpp"
#include "frazil/io/test_files.hpp"
#include "frazil/sim/eer_writer.hpp"

namespace frazil::io {
namespace {

using sim::EerFormat;
using sim::EerWriter;
using Event = sim::Electron;

/// About `share` of the pixels hold an electron.
std::vector<Event> random_electrons(int nx, int ny, double share, Rng& rng) {
  std::vector<Event> list;
  const auto total = static_cast<std::uint32_t>(nx * ny);
  for (std::uint32_t p = 0; p < total; ++p)
    if (rng.uniform() < share)
      list.push_back({p, static_cast<std::uint8_t>(rng.below(4)), static_cast<std::uint8_t>(rng.below(4))});
  return list;
}

/// What is left of a quarter when a codec has `bits` bits for it, in eighths of a pixel.
unsigned centre8(unsigned quarter, int bits) {
  return bits == 0 ? 4 : bits == 1 ? quarter / 2 * 4 + 2 : quarter * 2 + 1;
}

struct Bits {
  int x, y;
};
Bits bits_of_format(const EerFormat& f) {
  return f.compression == 65002 && !f.legacy ? Bits{f.sub_x_bits, f.sub_y_bits} : Bits{2, 2};
}

void expect_equal(std::span<const frazil::Electron> found, const std::vector<Event>& truth, int nx, int first_row,
                  int last_row, Bits bits) {
  std::size_t i = 0;
  for (const auto& e : truth) {
    const int x = static_cast<int>(e.pixel) % nx, y = static_cast<int>(e.pixel) / nx;
    if (y < first_row || y >= last_row) continue;
    ASSERT_LT(i, found.size());
    ASSERT_EQ(found[i].x8, 8U * static_cast<unsigned>(x) + centre8(e.quarter_x, bits.x)) << "electron " << i;
    ASSERT_EQ(found[i].y8, 8U * static_cast<unsigned>(y) + centre8(e.quarter_y, bits.y)) << "electron " << i;
    ++i;
  }
  EXPECT_EQ(i, found.size());
}

std::vector<EerFormat> all_formats() {
  std::vector<EerFormat> list{{.compression = 65000},
                              {.compression = 65001},
                              {.compression = 65001, .big = false, .strips = 5},
                              {.compression = 65001, .final_image = true}};
  for (const auto& [run, x, y] : {std::array{7, 2, 2},
                                  {8, 2, 2},
                                  {7, 1, 1},
                                  {8, 1, 1},
                                  {5, 1, 2},
                                  {10, 2, 0},
                                  {7, 0, 0},
                                  {6, 3, 3},
                                  {1, 2, 2},
                                  {16, 2, 1}})
    list.push_back({.compression = 65002, .run_bits = run, .sub_x_bits = x, .sub_y_bits = y});
  list.push_back({.compression = 65002, .run_bits = 8, .sub_x_bits = 1, .sub_y_bits = 1, .write_sub_y_bits = false});
  return list;
}

TEST(Eer, DecodesWhatTheEncoderWroteForEveryCodecAndDensity) {
  Rng rng(5);
  const TestFolder folder;
  std::vector<frazil::Electron> scratch;
  for (const auto& format : all_formats())
    for (const auto& [nx, ny] : {std::pair{64, 48}, {131, 33}}) {
      SCOPED_TRACE(fmt::format("compression {} run {} x {} y {} nx {}", format.compression, format.run_bits,
                               format.sub_x_bits, format.sub_y_bits, nx));
      std::vector<std::vector<Event>> frames;
      EerWriter writer(folder / "x.eer", nx, ny, format);
      for (const double share : {0.0, 0.0005, 0.01, 0.03, 0.3, 1.0}) {
        frames.push_back(random_electrons(nx, ny, share, rng));
        writer.append(frames.back());
      }
      writer.close();
      const EerFile file(ByteSource::open(folder / "x.eer"));
      ASSERT_EQ(file.raw_frames(), static_cast<int>(frames.size()));
      for (std::size_t f = 0; f < frames.size(); ++f) {
        ASSERT_TRUE(file.is_whole(static_cast<int>(f)));
        expect_equal(file.electrons(static_cast<int>(f), 0, ny, scratch), frames[f], nx, 0, ny, bits_of_format(format));
        for (int repeat = 0; repeat < 8; ++repeat) {
          const int first = static_cast<int>(rng.below(static_cast<std::uint64_t>(ny))),
                    last = first + 1 + static_cast<int>(rng.below(static_cast<std::uint64_t>(ny - first)));
          expect_equal(file.electrons(static_cast<int>(f), first, last, scratch), frames[f], nx, first, last,
                       bits_of_format(format));
        }
      }
    }
}

TEST(Eer, RunsAsLongAsTheLargestCodeAndItsMultiplesComeBack) {
  const TestFolder folder;
  std::vector<frazil::Electron> scratch;
  for (const auto& format : all_formats()) {
    const auto full = (1U << (format.compression == 65000   ? 8U
                              : format.compression == 65001 ? 7U
                                                            : static_cast<unsigned>(format.run_bits))) -
                      1U;
    EerWriter writer(folder / "x.eer", 256, 64, format);
    std::vector<std::vector<Event>> frames;
    for (const std::uint32_t gap : {full - 1, full, full + 1, 2 * full, 3 * full - 1}) {
      frames.emplace_back();
      for (std::uint32_t p = gap; p < 256U * 64; p += gap + 1) frames.back().push_back({p, 3, 1});
      writer.append(frames.back());
    }
    frames.push_back({{0, 1, 2}, {256U * 64 - 1, 2, 3}});
    writer.append(frames.back());
    writer.close();
    const EerFile file(ByteSource::open(folder / "x.eer"));
    for (std::size_t f = 0; f < frames.size(); ++f)
      expect_equal(file.electrons(static_cast<int>(f), 0, 64, scratch), frames[f], 256, 0, 64, bits_of_format(format));
  }
}

TEST(Eer, ReadsTheOlderFormWithFooters) {
  Rng rng(8);
  const TestFolder folder;
  EerWriter writer(folder / "old.eer", 4096, 4096, {.legacy = true});
  std::vector<std::vector<Event>> frames;
  for (int f = 0; f < 3; ++f) {
    frames.emplace_back();
    for (std::uint32_t p = static_cast<std::uint32_t>(rng.below(2000)); p < 4096U * 4096;
         p += 1 + static_cast<std::uint32_t>(rng.below(4000)))
      frames.back().push_back({p, static_cast<std::uint8_t>(rng.below(4)), static_cast<std::uint8_t>(rng.below(4))});
    writer.append(frames.back());
  }
  writer.close();
  const EerFile file(ByteSource::open(folder / "old.eer"));
  ASSERT_EQ(file.raw_frames(), 3);
  std::vector<frazil::Electron> scratch;
  for (int f = 0; f < 3; ++f)
    expect_equal(file.electrons(f, 0, 4096, scratch), frames[static_cast<std::size_t>(f)], 4096, 0, 4096, {2, 2});
  EXPECT_EQ(check_complete(folder / "old.eer").state, FileState::complete);
  EXPECT_EQ(check_complete(folder / "old.eer").frames, 3);
  auto bytes = read_text(folder / "old.eer");
  write_text(folder / "cut.eer", bytes.substr(0, bytes.size() * 2 / 3));
  EXPECT_EQ(check_complete(folder / "cut.eer").state, FileState::growing);
  write_text(folder / "bad.eer", bytes.substr(8));
  EXPECT_EQ(check_complete(folder / "bad.eer").state, FileState::broken);
  EXPECT_ERROR(MovieReader(folder / "bad.eer"), corrupt, "damaged");
}

TEST(Eer, FractionsCountTheElectronsOfTheirRawFramesOnEveryGrid) {
  Rng rng(3);
  const TestFolder folder;
  const int nx = 68, ny = 36, raw = 11;
  EerWriter writer(folder / "m.eer", nx, ny, {}, sim::eer_metadata(raw, 1.1, 5.5, nx, ny, 0.8));
  std::vector<std::vector<Event>> frames;
  for (int f = 0; f < raw; ++f) {
    frames.push_back(random_electrons(nx, ny, 0.2, rng));
    writer.append(frames.back());
  }
  writer.close();
  for (const auto& [grid, cells] :
       {std::pair{EerGrid::k2, 0.5}, {EerGrid::k4, 1.0}, {EerGrid::k8, 2.0}, {EerGrid::k16, 4.0}}) {
    const MovieReader movie(folder / "m.eer", {grid, 4});
    ASSERT_EQ(movie.info().nx, static_cast<int>(nx * cells));
    ASSERT_EQ(movie.info().nz, 4);
    EXPECT_NEAR(movie.info().pixel_size.value(), 0.8 / cells, 1e-9);
    int next = 0;
    for (int fraction = 0; fraction < 4; ++fraction) {
      const auto [first, last] = raw_frames_of(fraction, 4, raw);
      EXPECT_EQ(first, next);
      EXPECT_TRUE(last - first == 2 || last - first == 3);  // 11 raw frames in 4: none is left over
      next = last;
      Image truth(movie.info().nx, movie.info().ny);
      for (int f = first; f < last; ++f)
        for (const auto& e : frames[static_cast<std::size_t>(f)])
          ++truth(static_cast<int>((static_cast<int>(e.pixel) % nx + e.quarter_x / 4.0) * cells),
                  static_cast<int>((static_cast<int>(e.pixel) / nx + e.quarter_y / 4.0) * cells));
      for (const int threads : {1, 3}) {
        const auto image = movie.read_frame(fraction, threads);
        EXPECT_TRUE(std::equal(image.pixels().begin(), image.pixels().end(), truth.pixels().begin()));
      }
    }
    EXPECT_EQ(next, raw);
  }
}

TEST(Eer, ExposureOrNumberOfRawFramesDecidesTheGrouping) {
  EXPECT_EQ(eer_fractions(1000, {.per_raw_frame = 0.05_e_per_A2, .per_fraction = 1_e_per_A2}), 50);
  EXPECT_EQ(eer_fractions(1000, {.per_raw_frame = 0.05_e_per_A2}), 50);
  EXPECT_EQ(eer_fractions(1000, {.per_raw_frame = 0.05_e_per_A2, .per_fraction = 1_e_per_A2, .raw_per_fraction = 30}),
            33);
  EXPECT_EQ(eer_fractions(1000, {}), 40);
  EXPECT_EQ(eer_fractions(7, {}), 7);
  EXPECT_EQ(eer_fractions(7, {.raw_per_fraction = 100}), 1);
  EXPECT_EQ(eer_fractions(7, {.per_raw_frame = 30_e_per_A2}), 7);
}

TEST(Eer, TheCameraTellsPixelSizeAndExposure) {
  const TestFolder folder;
  EerWriter writer(folder / "m.eer", 64, 64, {}, sim::eer_metadata(50, 0.2, 32, 64, 64, 0.8));
  for (int f = 0; f < 50; ++f) writer.append({});
  writer.close();
  const EerFile file(ByteSource::open(folder / "m.eer"));
  EXPECT_NEAR(file.index().pixel_size.value(), 0.8, 1e-9);
  EXPECT_NEAR(file.dose_per_raw_frame().value(), 1.0, 1e-9);  // 32 electrons in 50 frames on 0.64 Å²
  EXPECT_EQ(MovieReader(folder / "m.eer").info().nz, 50);
}

TEST(Eer, DamagedRawFramesAreCountedLeftOutAndMadeUpFor) {
  Rng rng(4);
  const TestFolder folder;
  EerWriter writer(folder / "m.eer", 128, 64);
  std::vector<std::vector<Event>> frames;
  for (int f = 0; f < 8; ++f) {
    frames.push_back(random_electrons(128, 64, 0.1, rng));
    auto bytes = sim::encode_electrons(frames.back(), 128, 64, {});
    if (f == 2)
      bytes[5] = static_cast<std::uint8_t>(bytes[5] ^ 0x20U);  // another run: the count does not land on the end
    if (f == 5) bytes.resize(bytes.size() / 2);                // ends early
    writer.append_bytes(bytes);
  }
  writer.close();
  const EerFile file(ByteSource::open(folder / "m.eer"));
  EXPECT_FALSE(file.is_whole(2));
  EXPECT_FALSE(file.is_whole(5));
  EXPECT_EQ(file.broken_frames(2), 2);
  const auto image = MovieReader(folder / "m.eer", {EerGrid::k4, 2}).read_frame(0);
  Image truth(128, 64);
  for (const int f : {0, 1, 3})
    for (const auto& e : frames[static_cast<std::size_t>(f)]) truth.pixels()[e.pixel] += 1;
  for (std::size_t i = 0; i < truth.size(); ++i) ASSERT_NEAR(image.pixels()[i], truth.pixels()[i] * 4.0F / 3.0F, 1e-5);
  EXPECT_ERROR((void)MovieReader(folder / "m.eer", {EerGrid::k4, 8}).read_frame(5), corrupt,
               "none of the raw frames 6 to 6");
}

TEST(Eer, GrowsUntilItsLastStripIsThere) {
  Rng rng(4);
  const TestFolder folder;
  EerWriter writer(folder / "m.eer", 128, 64, {.final_image = true});
  for (int f = 0; f < 8; ++f) writer.append(random_electrons(128, 64, 0.1, rng));
  writer.close();
  const auto whole = check_complete(folder / "m.eer");
  EXPECT_EQ(whole.state, FileState::complete) << whole.reason;
  EXPECT_EQ(whole.frames, 8);  // the sum in front is no frame
  EXPECT_EQ(check_complete(folder / "m.eer", 9).state, FileState::growing);
  const auto bytes = read_text(folder / "m.eer");
  for (std::size_t cut = 0; cut < bytes.size(); cut += 97) {
    const auto part = std::as_bytes(std::span(bytes.data(), cut));
    EXPECT_EQ(check_complete(ByteSource::memory("cut.eer", part)).state, FileState::growing) << cut;
    if (cut > 16) EXPECT_ERROR(EerFile(ByteSource::memory("cut.eer", part)), corrupt, "cut.eer");
  }
}

TEST(Eer, WhatIsNotReadIsRefusedInASentence) {
  EXPECT_ERROR(EerFile(ByteSource::memory("empty.eer", {})), corrupt,
               "empty.eer: the EER file without TIFF is damaged: it holds no frame");
  const TestFolder folder;
  EerWriter writer(folder / "m.eer", 64, 64, {.compression = 65002, .run_bits = 20});
  writer.append({});
  writer.close();
  EXPECT_ERROR(MovieReader(folder / "m.eer"), unsupported, "20 bits for the run");
  EerWriter wide(folder / "w.eer", 9000, 64);
  wide.append({});
  wide.close();
  EXPECT_ERROR(MovieReader(folder / "w.eer"), unsupported, "9000 x 64");
  EerWriter good(folder / "g.eer", 64, 64);
  good.append({});
  good.close();
  EXPECT_ERROR(MovieReader(folder / "g.eer", {EerGrid::k4, 2}), bad_input, "2 fractions");
}

}  // namespace
}  // namespace frazil::io
