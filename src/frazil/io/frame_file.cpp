#include "frazil/io/frame_file.hpp"

#include <cstring>

#include "frazil/base/error.hpp"
#include "frazil/io/foreign.hpp"
#include "frazil/io/tiff_frame.hpp"

namespace frazil::io {
namespace {

using Container = std::variant<MrcHeader, TiffIndex, EerFile, DmImage>;

Container open_container(ByteSource& source) {
  const auto head = source.head(mrc_header_bytes);
  if (head.empty()) throw Error(ErrorCode::corrupt, "{}: the file is empty, an image was expected", source.name());
  if (looks_like_tiff(head)) {
    auto scan = scan_tiff(source);
    if (!has_eer_frames(scan)) return read_tiff_index(std::move(scan), source);
    auto index = eer_index(std::move(scan), source);
    return EerFile(std::move(source), std::move(index));
  }
  if (looks_like_legacy_eer(source)) return EerFile(std::move(source));
  if (looks_like_dm(head)) return open_dm(source);
  if (looks_like_mrc(head)) return open_mrc(source);
  const auto foreign = foreign_format(head);
  if (!foreign.empty())
    throw Error(ErrorCode::unsupported,
                "{}: {} files are not read as images, only MRC, MRCS, TIFF, BigTIFF, EER, DM3 and DM4", source.name(),
                foreign);
  return open_mrc(source);  // tells what is wrong with the header
}

EerView settled(const Container& container, EerView view) {
  if (const auto* eer = std::get_if<EerFile>(&container); eer != nullptr && view.fractions == 0)
    view.fractions = eer_fractions(eer->raw_frames(), {.per_raw_frame = eer->dose_per_raw_frame()});
  return view;
}

ImageInfo info_of(const MrcHeader& h, const EerView&) {
  return {h.nx, h.ny, h.nz, h.pixel_size(), h.type, h.ispg >= 1 && h.ispg <= 230};
}
ImageInfo info_of(const TiffIndex& t, const EerView&) {
  return {t.nx, t.ny, static_cast<int>(t.frames.size()), t.pixel_size, t.type, false};
}
ImageInfo info_of(const DmImage& d, const EerView&) { return {d.nx, d.ny, d.nz, d.pixel_size, d.type, false}; }
ImageInfo info_of(const EerFile& e, const EerView& view) {
  if (view.fractions < 1 || view.fractions > e.raw_frames())
    throw Error(ErrorCode::bad_input, "{}: {} fractions are asked for, the file has {} raw frames", e.name(),
                view.fractions, e.raw_frames());
  return {e.nx(view.grid), e.ny(view.grid), view.fractions, e.pixel_size(view.grid), PixelType::u16, false};
}

}  // namespace

FrameFile::FrameFile(ByteSource source, const EerView& eer)
    : name_(source.name()),
      source_(std::move(source)),
      container_(open_container(source_)),
      view_(settled(container_, eer)),
      info_(std::visit([&](const auto& c) { return info_of(c, view_); }, container_)) {}

void FrameFile::read(int index, ImageSpan out, int threads) const {
  if (index < 0 || index >= info_.nz)
    throw Error(ErrorCode::bad_input, "{}: image {} is asked for, the file has {}", name_, index + 1, info_.nz);
  if (const auto* mrc = std::get_if<MrcHeader>(&container_)) return read_mrc_section(source_, *mrc, index, out);
  if (const auto* eer = std::get_if<EerFile>(&container_)) {
    const auto [first, last] = raw_frames_of(index, info_.nz, eer->raw_frames());
    return eer->render(first, last, view_.grid, out, threads);
  }
  if (const auto* dm = std::get_if<DmImage>(&container_)) return read_dm_section(source_, *dm, index, out);
  read_tiff_frame(source_, std::get<TiffIndex>(container_), index, out, threads);
}

void FrameFile::read(int index, Image& out, int threads) const {
  if (out.nx() != info_.nx || out.ny() != info_.ny) out = Image(info_.nx, info_.ny);
  out.pixel_size = info_.pixel_size > 0_A ? info_.pixel_size : 1_A;
  read(index, out.span(), threads);
}

void FrameFile::read(int index, Counts& out, int threads) const {
  if (index < 0 || index >= info_.nz)
    throw Error(ErrorCode::bad_input, "{}: image {} is asked for, the file has {}", name_, index + 1, info_.nz);
  const bool as_floats = std::holds_alternative<EerFile>(container_) || std::holds_alternative<DmImage>(container_);
  const CountType type = as_floats ? CountType::f32 : count_type_of(info_.type);
  if (out.nx() != info_.nx || out.ny() != info_.ny || out.type() != type) out = Counts(info_.nx, info_.ny, type);
  if (const auto* mrc = std::get_if<MrcHeader>(&container_)) return read_mrc_section(source_, *mrc, index, out);
  if (const auto* tiff = std::get_if<TiffIndex>(&container_))
    return read_tiff_frame(source_, *tiff, index, out, threads);
  // Fractions of EER whose damaged raw frames are made up for are no whole numbers, and DM pixels may have any type:
  // both come as floats.
  Image image(info_.nx, info_.ny);
  read(index, image.span(), threads);
  for (int y = 0; y < info_.ny; ++y)
    std::memcpy(out.row(y), image.row(y), sizeof(float) * static_cast<std::size_t>(info_.nx));
}

}  // namespace frazil::io
