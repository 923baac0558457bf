#include "frazil/io/tiff_frame.hpp"

#include <libdeflate.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "frazil/base/parallel.hpp"
#include "frazil/io/lzw.hpp"

namespace frazil::io {
namespace {

/// Where a message points.
struct Place {
  const std::string& name;
  int frame;
  std::size_t strip;
  [[nodiscard]] Error error(std::string_view what) const {
    return {ErrorCode::corrupt, "{}: strip {} of frame {} {}", name, strip + 1, frame + 1, what};
  }
};

/// One a thread, made when it first decodes.
libdeflate_decompressor& decompressor() {
  struct Free {
    void operator()(libdeflate_decompressor* d) const { libdeflate_free_decompressor(d); }
  };
  thread_local const std::unique_ptr<libdeflate_decompressor, Free> mine(libdeflate_alloc_decompressor());
  if (!mine) throw Error(ErrorCode::resource, "no memory to decode deflate");
  return *mine;
}

/// The first bytes of a stream that holds more: writers may fill up the last strip.
std::size_t inflate_beginning(std::span<const std::byte> in, std::byte* out, std::size_t wanted, const Place& place) {
  z_stream stream{};
  if (::inflateInit(&stream) != Z_OK) throw Error(ErrorCode::resource, "{}: no memory to decode deflate", place.name);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(in.data()));  // NOLINT: zlib reads only
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out);
  stream.avail_out = static_cast<uInt>(wanted);
  const int result = ::inflate(&stream, Z_FINISH);
  ::inflateEnd(&stream);
  if (result != Z_OK && result != Z_BUF_ERROR && result != Z_STREAM_END) throw place.error("is not valid deflate data");
  return wanted - stream.avail_out;
}

std::size_t inflate_strip(std::span<const std::byte> in, std::byte* out, std::size_t wanted, const Place& place) {
  std::size_t done = 0;
  switch (libdeflate_zlib_decompress(&decompressor(), in.data(), in.size(), out, wanted, &done)) {
    case LIBDEFLATE_SUCCESS:
      return done;
    case LIBDEFLATE_INSUFFICIENT_SPACE:
      return inflate_beginning(in, out, wanted, place);
    default:
      throw place.error("is not valid deflate data");
  }
}

std::size_t unpack_bits(std::span<const std::byte> in, std::byte* out, std::size_t wanted) {
  std::size_t at = 0, done = 0;
  while (at < in.size() && done < wanted) {
    const auto control = static_cast<std::int8_t>(in[at++]);
    if (control >= 0) {
      const auto count = std::min({static_cast<std::size_t>(control) + 1, in.size() - at, wanted - done});
      std::memcpy(out + done, in.data() + at, count);
      at += count, done += count;
    } else if (control != -128 && at < in.size()) {
      const auto count = std::min(static_cast<std::size_t>(1 - control), wanted - done);
      std::memset(out + done, std::to_integer<int>(in[at++]), count);
      done += count;
    }
  }
  return done;
}

/// `out` holds wanted + lzw_slack bytes.
void decompress(std::span<const std::byte> in, unsigned compression, std::byte* out, std::size_t wanted,
                const Place& place) {
  std::size_t done = 0;
  if (compression == 5) {
    const auto result = lzw_decode(in, out, wanted);
    if (result.status == LzwStatus::bad_code) throw place.error("is not valid LZW data");
    if (result.status == LzwStatus::old_style)
      throw Error(ErrorCode::unsupported, "{}: frame {} is in the LZW of old TIFF versions, which is not read",
                  place.name, place.frame + 1);
    done = result.bytes;
  } else if (compression == 32773) {
    done = unpack_bits(in, out, wanted);
  } else {
    done = inflate_strip(in, out, wanted, place);
  }
  if (done != wanted) throw place.error(fmt::format("decodes to {} bytes, {} are expected", done, wanted));
}

template <class T>
void add_up(std::byte* row, int nx, bool swapped) {
  const auto load = [&](int x) {
    T value;
    std::memcpy(&value, row + static_cast<std::size_t>(x) * sizeof(T), sizeof(T));
    if (!swapped) return value;
    if constexpr (sizeof(T) == 2) return static_cast<T>(__builtin_bswap16(value));
    if constexpr (sizeof(T) == 4) return static_cast<T>(__builtin_bswap32(value));
    return value;
  };
  T sum = 0;
  for (int x = 0; x < nx; ++x) {
    sum = static_cast<T>(sum + load(x));
    std::memcpy(row + static_cast<std::size_t>(x) * sizeof(T), &sum, sizeof(T));
  }
}

/// Undoes horizontal differencing; afterwards the row is in this machine's byte order.
void undo_predictor(std::byte* row, int nx, PixelType type, bool swapped) {
  switch (bits_of(type)) {
    case 8:
      return add_up<std::uint8_t>(row, nx, false);
    case 16:
      return add_up<std::uint16_t>(row, nx, swapped);
    default:
      return add_up<std::uint32_t>(row, nx, swapped);
  }
}

/// Strips first … last − 1 of a frame, read at once where they lie one behind the other.
struct Group {
  std::size_t first = 0, last = 0;
  std::uint64_t offset = 0, bytes = 0;
};

std::vector<Group> group_strips(const TiffIndex& index, const TiffFrame& frame) {
  constexpr std::uint64_t enough = 256 * 1024;
  std::vector<Group> groups;
  for (std::size_t i = 0; i < frame.strip_count; ++i) {
    const auto& strip = index.strips[frame.first_strip + i];
    if (!groups.empty() && groups.back().bytes < enough && groups.back().offset + groups.back().bytes == strip.offset) {
      groups.back().last = i + 1;
      groups.back().bytes += strip.bytes;
    } else {
      groups.push_back({i, i + 1, strip.offset, strip.bytes});
    }
  }
  return groups;
}

/// Decodes groups of strips and hands each row to `put(bytes, swapped, y)`, y counted from the file's last row.
template <class Put>
class GroupDecoder {
 public:
  GroupDecoder(const ByteSource& source, const TiffIndex& index, int frame, Put put)
      : source_(source),
        index_(index),
        number_(frame),
        frame_(index.frames[static_cast<std::size_t>(frame)]),
        put_(put) {}

  void decode(const Group& group, std::vector<std::byte>& stored, std::vector<std::byte>& decoded) const {
    stored.resize(static_cast<std::size_t>(group.bytes));
    source_.read(group.offset, stored);
    for (std::size_t i = group.first; i < group.last; ++i) {
      const auto& strip = index_.strips[frame_.first_strip + i];
      strip_rows(i,
                 std::span(stored).subspan(static_cast<std::size_t>(strip.offset - group.offset),
                                           static_cast<std::size_t>(strip.bytes)),
                 decoded);
    }
  }

 private:
  void strip_rows(std::size_t strip, std::span<std::byte> stored, std::vector<std::byte>& decoded) const {
    const int y0 = static_cast<int>(strip) * frame_.rows_per_strip,
              rows = std::min(frame_.rows_per_strip, index_.ny - y0);
    const auto row = static_cast<std::size_t>(row_bytes(index_.type, index_.nx));
    const auto wanted = row * static_cast<std::size_t>(rows);
    std::byte* bytes = stored.data();
    if (frame_.compression != 1) {
      if (decoded.size() < wanted + lzw_slack) decoded.resize(wanted + lzw_slack);
      decompress(stored, frame_.compression, decoded.data(), wanted, {source_.name(), number_, strip});
      bytes = decoded.data();
    }
    for (int y = 0; y < rows; ++y) {
      auto* at = bytes + row * static_cast<std::size_t>(y);
      if (frame_.predictor) undo_predictor(at, index_.nx, index_.type, index_.swapped);
      put_(at, index_.swapped && !frame_.predictor, index_.ny - 1 - (y0 + y));
    }
  }

  const ByteSource& source_;
  const TiffIndex& index_;
  int number_;
  const TiffFrame& frame_;
  Put put_;
};

template <class Put>
void read_rows(const ByteSource& source, const TiffIndex& index, int frame, int threads, Put put) {
  expect(frame >= 0 && frame < static_cast<int>(index.frames.size()), "the frame is in the file");
  const auto groups = group_strips(index, index.frames[static_cast<std::size_t>(frame)]);
  const GroupDecoder decoder(source, index, frame, put);
  struct Scratch {
    std::vector<std::byte> stored, decoded;
  };
  std::vector<Scratch> scratch(static_cast<std::size_t>(std::max(1, threads)));
  parallel_for_slots(std::max(1, threads), groups.size(), [&](std::size_t i, int slot) {
    auto& mine = scratch[static_cast<std::size_t>(slot)];
    decoder.decode(groups[i], mine.stored, mine.decoded);
  });
}

}  // namespace

void read_tiff_frame(const ByteSource& source, const TiffIndex& index, int frame, ImageSpan out, int threads) {
  expect(out.nx == index.nx && out.ny == index.ny, "the image has the size of the frame");
  read_rows(source, index, frame, threads, [&](const std::byte* bytes, bool swapped, int y) {
    decode_row(bytes, index.type, swapped, {out.row(y), static_cast<std::size_t>(out.nx)});
  });
}

void read_tiff_frame(const ByteSource& source, const TiffIndex& index, int frame, Counts& out, int threads) {
  expect(out.nx() == index.nx && out.ny() == index.ny && out.type() == count_type_of(index.type),
         "the counts have size and type of the frame");
  read_rows(source, index, frame, threads, [&](const std::byte* bytes, bool swapped, int y) {
    decode_row(bytes, index.type, swapped, out.row(y), static_cast<std::size_t>(index.nx));
  });
}

}  // namespace frazil::io
