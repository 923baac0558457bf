#include "frazil/protocols/group_spectra.hpp"

#include <cmath>

#include "frazil/algo/motion/sum.hpp"
#include "frazil/image/sound.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/movie_file.hpp"

namespace frazil::protocols {
namespace {

motion::MotionField part_of(const motion::MotionField& field, int first, int count) {
  std::vector<motion::Shift> shifts;
  for (int t = first; t < first + count; ++t)
    for (int y = 0; y < static_cast<int>(field.y_px().size()); ++y)
      for (int x = 0; x < static_cast<int>(field.x_px().size()); ++x) shifts.push_back(field.node(t, x, y));
  return {field.x_px(), field.y_px(), std::move(shifts)};
}

Image plain_sum(const motion::FrameSource& frames, const motion::Detector& detector, int first, int count) {
  Image sum(frames.nx, frames.ny, frames.pixel_size), frame(frames.nx, frames.ny, frames.pixel_size);
  for (int t = first; t < first + count; ++t) {
    frames.read(t, frame);
    detector.correct(frame, t);
    for (std::size_t i = 0; i < sum.size(); ++i) sum.pixels()[i] += frame.pixels()[i];
  }
  return sum;
}

Image moved_sum(const motion::FrameSource& frames, const motion::Detector& detector, const motion::MotionField& field,
                int first, int count, int threads) {
  motion::FrameSource part = frames;
  part.count = count;
  part.read = [&frames, first](int i, Image& out) { frames.read(first + i, out); };
  if (frames.counts) part.counts = [&frames, first](int i) { return frames.counts(first + i); };
  part.done = {};
  motion::DoseBasis ones;
  ones.b.assign(1, std::vector<double>(static_cast<std::size_t>(count), 1.0));
  return motion::sum_frames(part, detector, part_of(field, first, count), ones, {1, false, threads}).plain;
}

void add(const std::vector<ctf::RegionSpectrum>& part, std::vector<ctf::RegionSpectrum>& all) {
  if (all.empty()) {
    all = part;
    return;
  }
  expect(all.size() == part.size(), "all groups have the same parts");
  for (std::size_t r = 0; r < all.size(); ++r) {
    for (std::size_t i = 0; i < all[r].half.size(); ++i) all[r].half[i] += part[r].half[i];
    all[r].tiles += part[r].tiles;
  }
}

}  // namespace

GroupSpectra group_spectra(const motion::FrameSource& frames, const motion::Detector& detector,
                           const motion::MotionField* field, int frames_per_group, int box, int threads) {
  GroupSpectra out;
  out.groups = std::max(1, frames.count / std::max(1, frames_per_group));
  const int size = out.groups == 1 ? frames.count : frames_per_group;
  for (int g = 0; g < out.groups; ++g) {
    const int first = g * size, count = g + 1 == out.groups ? frames.count - first : size;
    const auto sum = field != nullptr ? moved_sum(frames, detector, *field, first, count, threads)
                                      : plain_sum(frames, detector, first, count);
    std::vector<ctf::RegionSpectrum> regions;
    auto power = ctf::power_spectrum(sum, frames.pixel_size, {.box = box, .threads = threads}, &regions);
    add(regions, out.regions);
    if (g == 0)
      out.whole = std::move(power);
    else
      for (std::size_t i = 0; i < out.whole.power.size(); ++i) out.whole.power.pixels()[i] += power.power.pixels()[i];
  }
  const auto scale = 1.0F / static_cast<float>(out.groups);
  for (float& v : out.whole.power.pixels()) v *= scale;
  for (auto& region : out.regions)
    for (float& v : region.half) v *= scale;
  out.whole.relative_variance /= out.groups;
  return out;
}

GroupSpectra group_spectra_of_file(const std::string& movie, const std::string& gain, Angstrom pixel_size,
                                   int frames_per_group, int box, flow::Context& context) {
  const io::MovieReader reader(context.input(movie));
  const auto& info = reader.info();
  Image factors;
  if (!gain.empty())
    factors = io::read_gain(context.input(gain), info.nx, info.ny, io::GainOrientation::identity,
                            io::usual_gain_kind(gain, reader.eer() != nullptr));
  const motion::Detector detector(info.nx, info.ny, std::move(factors), context.rng()());
  const motion::FrameSource frames{info.nx, info.ny, info.nz, pixel_size, [&](int i, Image& out) {
                                     context.check_cancelled();
                                     reader.read_frame(i, out, context.threads());
                                   }};
  return group_spectra(frames, detector, nullptr, frames_per_group, box, context.threads());
}

Spectra write_spectra(const GroupSpectra& spectra, const std::string& file, flow::Context& context) {
  const auto& whole = spectra.whole.power;
  const int n = whole.nx(), h = n / 2, columns = h + 1;
  Spectra record;
  record.path = context.reference(file);
  record.pixel_size = spectra.whole.pixel_size;
  record.groups = spectra.groups;
  record.relative_variance = spectra.whole.relative_variance;
  io::StackWriter writer(context.output(file), n, n, record.pixel_size);
  Image amplitude(n, n, record.pixel_size);
  for (std::size_t i = 0; i < whole.size(); ++i) amplitude.pixels()[i] = std::sqrt(whole.pixels()[i]);
  writer.append(amplitude);
  for (const auto& region : spectra.regions) {
    for (int y = 0; y < n; ++y)
      for (int x = 0; x < n; ++x) {
        const int kx = x - h, row = kx >= 0 ? y : (y == 0 ? 0 : n - y);
        amplitude(x, y) = std::sqrt(region.half[static_cast<std::size_t>(row) * static_cast<std::size_t>(columns) +
                                                static_cast<std::size_t>(std::abs(kx))]);
      }
    writer.append(amplitude);
    record.x_A.push_back(region.x_A);
    record.y_A.push_back(region.y_A);
    record.tiles.push_back(region.tiles);
  }
  writer.close();
  return record;
}

void check_amplitude(const Image& amplitude) {
  if (const auto found = soundness(amplitude); found != Soundness::sound)
    throw Error(ErrorCode::bad_input, "the amplitude spectrum is {}", to_string(found));
}

GroupSpectra read_spectra(const Spectra& record, const flow::Context& context) {
  const io::StackReader stack(context.input(record.path));
  const auto parts = static_cast<int>(record.tiles.size());
  if (stack.info().nz != 1 + parts || record.x_A.size() != record.tiles.size() ||
      record.y_A.size() != record.tiles.size())
    throw Error(ErrorCode::corrupt, "{}: the record tells of {} parts, the file holds {}", record.path, parts,
                stack.info().nz - 1);
  GroupSpectra out;
  out.groups = record.groups;
  for (int part = 0; part <= parts; ++part) check_amplitude(stack.read(part));
  out.whole = ctf::from_amplitude(stack.read(0), record.pixel_size);
  out.whole.relative_variance = record.relative_variance;
  const int n = out.whole.power.nx(), h = n / 2;
  for (int part = 0; part < parts; ++part) {
    const auto amplitude = stack.read(1 + part);
    const auto i = static_cast<std::size_t>(part);
    ctf::RegionSpectrum region;
    region.x_A = record.x_A[i];
    region.y_A = record.y_A[i];
    region.tiles = record.tiles[i];
    for (int y = 0; y < n; ++y)
      for (int c = 0; c <= h; ++c) {
        const float value = c < h ? amplitude(h + c, y) : amplitude(0, y == 0 ? 0 : n - y);
        region.half.push_back(value * value);
      }
    out.regions.push_back(std::move(region));
  }
  return out;
}

}  // namespace frazil::protocols
