#include "frazil/engine/star_writer.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <numeric>

#include "frazil/base/files.hpp"
#include "frazil/base/no_space.hpp"
#include "frazil/engine/accountant.hpp"

namespace frazil::engine {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t piece_at_once = 1 << 20;  ///< bytes

/// A file that is put together from new text and pieces of an older file.
class TablePieces {
 public:
  /// @param old  file that pieces come from; need not be there
  TablePieces(const fs::path& path, const fs::path& old)
      : path_(path),
        file_(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)),
        old_(::open(old.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (file_ < 0) fail("opening for writing");
  }
  ~TablePieces() {
    if (file_ >= 0) ::close(file_);
    if (old_ >= 0) ::close(old_);
  }
  TablePieces(const TablePieces&) = delete;
  TablePieces& operator=(const TablePieces&) = delete;

  [[nodiscard]] std::uint64_t size() const { return size_; }

  void add(std::string_view text) {
    flush_copy();
    text_ += text;
    size_ += text.size();
    if (text_.size() >= piece_at_once) flush_text();
  }
  /// TablePieces that follow one another are copied together.
  void copy(std::uint64_t offset, std::uint64_t bytes) {
    if (copy_bytes_ > 0 && copy_from_ + copy_bytes_ != offset) flush_copy();
    if (copy_bytes_ == 0) {
      flush_text();
      copy_from_ = offset;
    }
    copy_bytes_ += bytes;
    size_ += bytes;
  }
  void finish() {
    flush_copy();
    flush_text();
  }

 private:
  [[noreturn]] void fail(std::string_view doing) const {
    const int error = errno;
    if (is_no_space(error)) throw NoSpace("{}: {} failed: {}", path_.string(), doing, std::strerror(error));
    throw Error(ErrorCode::io, "{}: {} failed: {}", path_.string(), doing, std::strerror(error));
  }
  void write(std::string_view text) const {
    while (!text.empty()) {
      const auto n = ::write(file_, text.data(), text.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) fail("writing");
      text.remove_prefix(static_cast<std::size_t>(n));
    }
  }
  void flush_text() {
    write(text_);
    text_.clear();
  }
  void flush_copy() {
    auto from = static_cast<off_t>(copy_from_);
    while (copy_bytes_ > 0) {
      const auto n = ::copy_file_range(old_, &from, file_, nullptr, copy_bytes_, 0);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return copy_by_hand(from);  // not between these file systems
      copy_bytes_ -= static_cast<std::uint64_t>(n);
    }
  }
  void copy_by_hand(off_t from) {
    std::string piece;
    while (copy_bytes_ > 0) {
      piece.resize(std::min<std::uint64_t>(copy_bytes_, piece_at_once));
      const auto n = ::pread(old_, piece.data(), piece.size(), from);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) throw Error(ErrorCode::io, "{}: the file that it follows has become shorter", path_.string());
      write(std::string_view(piece).substr(0, static_cast<std::size_t>(n)));
      from += n;
      copy_bytes_ -= static_cast<std::uint64_t>(n);
    }
  }

  fs::path path_;
  int file_, old_;
  std::string text_;
  std::uint64_t size_ = 0, copy_from_ = 0, copy_bytes_ = 0;
};

bool are_equal(const fs::path& a, const fs::path& b) {
  std::error_code missing;
  if (fs::file_size(a, missing) != fs::file_size(b, missing) || missing) return false;
  std::ifstream first(a, std::ios::binary), second(b, std::ios::binary);
  std::string one(piece_at_once, '\0'), other = one;
  while (first && second) {
    first.read(one.data(), static_cast<std::streamsize>(one.size()));
    second.read(other.data(), static_cast<std::streamsize>(other.size()));
    const auto n = static_cast<std::size_t>(first.gcount());
    if (first.gcount() != second.gcount() || std::memcmp(one.data(), other.data(), n) != 0) return false;
  }
  return true;
}

}  // namespace

// ---- one file ---------------------------------------------------------------------------------------------------

const SetFile::Block* SetFile::find(std::int64_t item) const {
  const auto place = std::lower_bound(order_.begin(), order_.end(), item,
                                      [&](std::uint32_t at, std::int64_t n) { return blocks_[at].item < n; });
  return place != order_.end() && blocks_[*place].item == item ? &blocks_[*place] : nullptr;
}

std::uint32_t SetFile::number_of(const std::string& part) {
  const auto at = static_cast<std::size_t>(std::find(parts_.begin(), parts_.end(), part) - parts_.begin());
  if (at == parts_.size()) parts_.push_back(part);
  return static_cast<std::uint32_t>(at);
}

/// Where the rows of these items stand; of those that are not in the file the size is 0.
std::vector<SetFile::Block> SetFile::blocks_of(const std::vector<std::int64_t>& items, const RecordOf& record_of) {
  std::vector<Block> blocks;
  blocks.reserve(items.size());
  for (const auto item : items)
    if (const auto* known = find(item))
      blocks.push_back(*known);
    else
      blocks.push_back({item, 0, 0, number_of(format_->part(record_of(item)))});
  return blocks;
}

std::vector<std::string> SetFile::bases_of(const flow::TableLayout& layout, const std::vector<bool>& used) const {
  std::vector<std::string> bases(parts_.size());
  for (std::size_t i = 0; i < parts_.size(); ++i)
    if (used[i]) bases[i] = layout.basis(parts_[i]);
  return bases;
}

bool SetFile::is_as_it_was(const std::vector<Block>& blocks, const std::string& head,
                           const std::vector<std::string>& bases) const {
  return size_ > 0 && head == head_ && blocks.size() == blocks_.size() &&
         std::equal(blocks.begin(), blocks.end(), blocks_.begin(),
                    [](const Block& a, const Block& b) { return a.item == b.item; }) &&
         std::all_of(blocks.begin(), blocks.end(),
                     [&](const Block& b) { return b.part < bases_.size() && bases[b.part] == bases_[b.part]; });
}

void SetFile::write(const std::vector<std::int64_t>& items, const RecordOf& record_of) {
  std::error_code missing;
  if (fs::file_size(path_, missing) != size_ || missing ||
      fs::last_write_time(path_, missing) != time_) {  // somebody has changed it: all of it is written anew
    blocks_.clear();
    order_.clear();
    size_ = 0;
  }
  auto blocks = blocks_of(items, record_of);
  std::vector<std::string> parts;
  std::vector<bool> used(parts_.size());
  for (const auto& block : blocks)
    if (!used[block.part]) {
      used[block.part] = true;
      parts.push_back(parts_[block.part]);
    }
  std::size_t at = 0;
  const auto layout = format_->layout(parts, [&]() -> std::optional<Json> {
    return at < items.size() ? std::optional(record_of(items[at++])) : std::nullopt;
  });
  auto head = layout->head();
  auto bases = bases_of(*layout, used);
  if (is_as_it_was(blocks, head, bases)) return;
  AtomicFile file(path_);
  TablePieces out(file.temporary(), path_);
  out.add(head);
  for (auto& block : blocks) {
    const auto offset = out.size();
    if (block.offset > 0 && block.part < bases_.size() && bases[block.part] == bases_[block.part])
      out.copy(block.offset, block.size);
    else
      out.add(layout->rows(record_of(block.item)));
    block.offset = offset;
    block.size = static_cast<std::uint32_t>(out.size() - offset);
  }
  out.add(layout->tail());
  out.finish();
  if (size_ > 0 || !are_equal(file.temporary(), path_)) file.commit();
  blocks_ = std::move(blocks);
  bases_ = std::move(bases);
  head_ = std::move(head);
  size_ = out.size();
  time_ = fs::last_write_time(path_);
  order_.resize(blocks_.size());
  std::iota(order_.begin(), order_.end(), 0U);
  std::sort(order_.begin(), order_.end(),
            [&](std::uint32_t a, std::uint32_t b) { return blocks_[a].item < blocks_[b].item; });
}

// ---- all of a project -------------------------------------------------------------------------------------------

namespace {

/// Why an item is not among those kept, as a record.
Json aside_record(const State& state, store::Reader& reader, int subject, const Fate& fate) {
  const auto& who = state.subject(subject);
  std::string reason = fate.person != nullptr ? fate.person->reason : fate.reason;
  if (fate.step >= 0 && fate.person == nullptr)
    if (const auto task = state.step(fate.step).tasks[subject]; task > 0) {
      if (fate.standing == Standing::failed)
        reader.for_task(task, [&](const store::TaskRow& row) { reason = row.message; });
      else if (const auto row = reader.decision_of_task(task); row && !row->reason.empty())
        reason = row->reason;
    }
  return {{"file", "raw/" + state.planned(who.root).name + "/" + who.path},
          {"name", who.label},
          {"state", frazil::name_of(fate.standing)},
          {"step", fate.step < 0 ? std::string() : state.planned(fate.step).name},
          {"reason", std::move(reason)}};
}

}  // namespace

/// Null for sets that have no table.
std::unique_ptr<SetFile> StarWriter::file_of(const State& state, int step, int port, const std::string& name) const {
  const auto& planned = state.planned(step);
  const auto& output = planned.protocol->outputs[static_cast<std::size_t>(port)];
  auto format = formats_({planned.name, planned.protocol->name, output.name, output.kind, state.head->folder});
  if (format == nullptr) return nullptr;
  return std::make_unique<SetFile>(state.head->folder / "star" / (name + ".star"), std::move(format));
}

void StarWriter::begin_anew(const State& state) {
  load_ = state.load;
  written_.assign(state.steps.size(), -1);
  files_.clear();
  for (int index = 0; index < static_cast<int>(state.steps.size()); ++index) {
    const auto& planned = state.planned(index);
    const auto& outputs = planned.protocol->outputs;
    auto& files = files_.emplace_back();
    for (int port = 0; port < static_cast<int>(outputs.size()); ++port)
      files.push_back(
          file_of(state, index, port,
                  port == 0 ? planned.name : planned.name + "." + outputs[static_cast<std::size_t>(port)].name));
  }
  tables_ = tables_of_ ? tables_of_(state.head->plan) : std::vector<flow::KeptTable>();
  kept_.clear();
  kept_.resize(tables_.size());
  kept_written_ = -1;
}

void StarWriter::write(const State& state) {
  if (load_ != state.load) begin_anew(state);
  const auto record_of = [&](std::int64_t item) { return Json::parse(reader_->record(item)); };
  for (std::size_t i = 0; i < state.steps.size(); ++i) {
    if (written_[i] == state.steps[i]->sets_changed) continue;
    for (std::size_t port = 0; port < files_[i].size(); ++port) {
      if (files_[i][port] == nullptr) continue;
      std::vector<std::int64_t> items;
      for (const int subject : state.members(static_cast<int>(i), static_cast<int>(port)))
        items.push_back(state.steps[i]->ports[port].items[subject]);
      if (flow::gives_versions(state.planned(static_cast<int>(i))) && items.size() > 1) items = {items.back()};
      files_[i][port]->write(items, record_of);
    }
    written_[i] = state.steps[i]->sets_changed;
  }
  if (kept_written_ == state.sequence) return;
  for (std::size_t table = 0; table < tables_.size(); ++table) write_kept(state, table);
  kept_written_ = state.sequence;
}

void StarWriter::write_kept(const State& state, std::size_t number) {
  const auto& table = tables_[number];
  const auto is_there = [&](const flow::Endpoint& from) {
    return state.step(from.step).ports[static_cast<std::size_t>(from.port)].count > 0;
  };
  const auto from = std::find_if(table.from.begin(), table.from.end(), is_there);
  if (from == table.from.end()) return;
  if (table.which == flow::KeptTable::Which::others) return write_others(state, table);
  auto& [of, file] = kept_[number];
  if (file == nullptr || !(of == *from)) {
    of = *from;
    file = file_of(state, from->step, from->port, table.name);
  }
  if (file == nullptr) return;
  auto members = state.members(from->step, from->port);
  if (flow::gives_versions(state.planned(from->step)) && members.size() > 1)
    members.erase(members.begin(), members.end() - 1);
  std::vector<std::int64_t> items;
  for (const int subject : members)
    if (table.which == flow::KeptTable::Which::all || fate_of(state, subject).standing == Standing::kept)
      items.push_back(state.step(from->step).ports[static_cast<std::size_t>(from->port)].items[subject]);
  file->write(items, [&](std::int64_t item) { return Json::parse(reader_->record(item)); });
}

/// Those that are not kept are few, and why may change.
void StarWriter::write_others(const State& state, const flow::KeptTable& table) const {
  const auto step = table.from.front().step;
  const auto& planned = state.planned(step);
  const auto format = formats_({planned.name, planned.protocol->name, "", "SetAside", state.head->folder});
  if (format == nullptr) return;
  std::vector<Json> records;
  for (const int subject : *state.by_order) {
    if (state.subject(subject).root != step) continue;
    const auto fate = fate_of(state, subject);
    if (fate.standing != Standing::kept && fate.standing != Standing::in_work)
      records.push_back(aside_record(state, *reader_, subject, fate));
  }
  const auto text = flow::whole_table(*format, records);
  const auto file = state.head->folder / "star" / (table.name + ".star");
  if (!fs::exists(file) || read_text(file) != text) write_text(file, text);
}

}  // namespace frazil::engine
