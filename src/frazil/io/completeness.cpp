#include "frazil/io/completeness.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "frazil/base/error.hpp"
#include "frazil/io/dm.hpp"
#include "frazil/io/eer_index.hpp"
#include "frazil/io/foreign.hpp"
#include "frazil/io/mrc.hpp"
#include "frazil/io/tiff_index.hpp"

namespace frazil::io {
namespace {

using namespace std::literals;

bool is_all_zero(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

bool starts_with(std::span<const std::byte> bytes, std::string_view magic) {
  return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

Completeness growing(const ByteSource& source, std::string_view why, int frames = 0) {
  return {FileState::growing, fmt::format("{}: {}", source.name(), why), frames};
}
Completeness broken(const ByteSource& source, std::string_view why, int frames = 0) {
  return {FileState::broken, fmt::format("{}: {}", source.name(), why), frames};
}

Completeness check_mrc(const ByteSource& source, std::span<const std::byte> head) {
  MrcHeader h;
  try {
    h = parse_mrc_header(head, source.size(), source.name());
  } catch (const Error& error) {
    return {FileState::broken, error.what(), 0};
  }
  const auto promised = h.file_bytes(), found = source.size();
  const auto section = h.section_bytes();
  if (found == promised && h.missing_extended > 0)
    return {
        FileState::complete,
        fmt::format("{}: the header promises an extended header of {} bytes (NSYMBT) that is not in the file; header "
                    "and data fill it, and are read",
                    source.name(), h.missing_extended),
        h.nz, true};
  if (found == promised) return {FileState::complete, {}, h.nz};
  const auto whole = found > h.data_offset()
                         ? static_cast<int>(std::min<std::uint64_t>((found - h.data_offset()) / section, 1U << 22U))
                         : 0;
  if (found < promised)
    return growing(
        source,
        fmt::format("the header promises {} frames and {} bytes{}, the file has {} bytes", h.nz, promised,
                    h.extended > 0 ? fmt::format(" with an extended header of NSYMBT = {}", h.extended) : "", found),
        whole);
  if (found - promised >= section)  // writers that add frames correct the header afterwards
    return growing(
        source, fmt::format("the header promises {} frames, the data after it are {} frames long", h.nz, whole), h.nz);
  return {FileState::complete,
          fmt::format("{}: the header promises {} bytes, the file has {} more, which are left unread", source.name(),
                      promised, found - promised),
          h.nz, true};
}

Completeness check_tiff(const ByteSource& source) {
  constexpr std::uint64_t tail = 1024;  // room for what writers pad and append that no directory names
  const auto scan = scan_tiff(source);
  const bool eer = has_eer_frames(scan);
  const auto frames =
      static_cast<int>(std::count_if(scan.directories.begin(), scan.directories.end(), [&](const TiffDirectory& d) {
        return !eer || is_eer_compression(d.compression);
      }));
  if (scan.end == TiffEnd::cut) return growing(source, scan.problem, frames);
  if (scan.end == TiffEnd::broken) return broken(source, scan.problem, frames);
  if (source.size() > scan.extent + tail)
    return growing(source,
                   fmt::format("{} bytes after the last directory of {} frames belong to none of them yet",
                               source.size() - scan.extent, frames),
                   frames);
  return {FileState::complete, {}, frames};
}

/// EER without TIFF. A file that ends in the middle of a frame may grow.
Completeness check_legacy_eer(const ByteSource& source) {
  if (!looks_like_legacy_eer(source)) return growing(source, "it ends in the middle of an EER frame");
  const auto found = scan_legacy_eer(source);
  const auto frames = static_cast<int>(found.index.frames.size());
  if (!found.problem.empty()) return broken(source, found.problem, frames);
  return {FileState::complete, {}, frames};
}

Completeness check_dm(const ByteSource& source) {
  try {
    return {FileState::complete, {}, open_dm(source).nz};
  } catch (const Error& error) {
    const bool may_grow = error.code() == ErrorCode::corrupt &&
                          std::string_view(error.what()).find("is cut off or damaged") != std::string_view::npos;
    return {may_grow ? FileState::growing : FileState::broken, error.what(), 0};
  }
}

/// Files that end with a marker.
Completeness check_marker(const ByteSource& source, std::string_view marker, std::string_view format) {
  std::vector<std::byte> end(std::min<std::size_t>(marker.size(), static_cast<std::size_t>(source.size())));
  source.read(source.size() - end.size(), end);
  if (starts_with(end, marker)) return {FileState::complete, {}, 1};
  return growing(source, fmt::format("the end marker of the {} is missing", format));
}

Completeness check_structure(const ByteSource& source) {
  if (source.size() == 0) return growing(source, "the file is empty");
  const auto head = source.head(mrc_header_bytes + 4);
  if (is_all_zero(head)) return growing(source, fmt::format("the first {} bytes are still zero", head.size()));
  if (looks_like_tiff(head)) return check_tiff(source);
  if (looks_like_legacy_eer(source) || (!looks_like_mrc(head) && begins_as_legacy_eer(source)))
    return check_legacy_eer(source);
  if (starts_with(head, "\x89PNG\r\n\x1a\n"sv)) return check_marker(source, "IEND\xae\x42\x60\x82"sv, "PNG");
  if (starts_with(head, "\xff\xd8\xff"sv)) return check_marker(source, "\xff\xd9"sv, "JPEG");
  if (looks_like_dm(head)) return check_dm(source);
  if (const auto foreign = foreign_format(head); !foreign.empty())
    return broken(source, fmt::format("{} files are not read", foreign));
  if (head.size() < mrc_header_bytes)
    return growing(source, fmt::format("{} bytes are less than the header of an MRC file", source.size()));
  return check_mrc(source, head);
}

}  // namespace

std::string_view to_string(FileState state) {
  switch (state) {
    case FileState::complete:
      return "complete";
    case FileState::growing:
      return "growing";
    case FileState::broken:
      return "broken";
  }
  return "broken";
}

Completeness check_complete(const ByteSource& source, int expected_frames) {
  auto found = check_structure(source);
  if (found.state == FileState::complete && found.frames < expected_frames)
    return growing(source, fmt::format("{} of {} expected frames are there", found.frames, expected_frames),
                   found.frames);
  return found;
}

Completeness check_complete(const std::filesystem::path& path, int expected_frames) {
  return check_complete(ByteSource::open(path), expected_frames);
}

}  // namespace frazil::io
