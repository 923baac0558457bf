#include "frazil/io/frame_file.hpp"

#include "frazil/base/error.hpp"
#include "frazil/io/foreign.hpp"
#include "frazil/io/tiff_frame.hpp"

namespace frazil::io {
namespace {

std::variant<MrcHeader, TiffIndex> open_container(const ByteSource& source) {
  const auto head = source.head(mrc_header_bytes);
  if (head.empty()) throw Error(ErrorCode::corrupt, "{}: the file is empty, an image was expected", source.name());
  if (looks_like_tiff(head)) return read_tiff_index(source);
  if (looks_like_mrc(head)) return open_mrc(source);
  const auto foreign = foreign_format(head);
  if (!foreign.empty()) throw Error(ErrorCode::unsupported, "{}: {} files are not read as images, only MRC, MRCS, TIFF and BigTIFF", source.name(), foreign);
  return open_mrc(source);  // tells what is wrong with the header
}

ImageInfo info_of(const MrcHeader& h) { return {h.nx, h.ny, h.nz, h.pixel_size(), h.type, h.ispg >= 1 && h.ispg <= 230}; }
ImageInfo info_of(const TiffIndex& t) { return {t.nx, t.ny, static_cast<int>(t.frames.size()), t.pixel_size, t.type, false}; }

}  // namespace

FrameFile::FrameFile(ByteSource source)
    : source_(std::move(source)), container_(open_container(source_)), info_(std::visit([](const auto& c) { return info_of(c); }, container_)) {}

void FrameFile::read(int index, ImageSpan out, int threads) const {
  if (index < 0 || index >= info_.nz)
    throw Error(ErrorCode::bad_input, "{}: image {} is asked for, the file has {}", source_.name(), index + 1, info_.nz);
  if (const auto* mrc = std::get_if<MrcHeader>(&container_)) return read_mrc_section(source_, *mrc, index, out);
  read_tiff_frame(source_, std::get<TiffIndex>(container_), index, out, threads);
}

void FrameFile::read(int index, Image& out, int threads) const {
  if (out.nx() != info_.nx || out.ny() != info_.ny) out = Image(info_.nx, info_.ny);
  out.pixel_size = info_.pixel_size > 0_A ? info_.pixel_size : 1_A;
  read(index, out.span(), threads);
}

void FrameFile::read(int index, Counts& out, int threads) const {
  if (index < 0 || index >= info_.nz)
    throw Error(ErrorCode::bad_input, "{}: image {} is asked for, the file has {}", source_.name(), index + 1, info_.nz);
  const CountType type = count_type_of(info_.type);
  if (out.nx() != info_.nx || out.ny() != info_.ny || out.type() != type) out = Counts(info_.nx, info_.ny, type);
  if (const auto* mrc = std::get_if<MrcHeader>(&container_)) return read_mrc_section(source_, *mrc, index, out);
  read_tiff_frame(source_, std::get<TiffIndex>(container_), index, out, threads);
}

}  // namespace frazil::io
