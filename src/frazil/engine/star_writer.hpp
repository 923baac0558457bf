// Writes the STAR files of sets that have changed, from what the view has published: what stands in a file is copied
// from it, only what has come is read and formatted, and no file is ever held whole.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "frazil/engine/view.hpp"
#include "frazil/flow/kept_table.hpp"
#include "frazil/flow/set_table.hpp"

namespace frazil::engine {

/// The file of one set.
class SetFile {
 public:
  using RecordOf = std::function<Json(std::int64_t item)>;

  SetFile(std::filesystem::path path, std::unique_ptr<flow::TableFormat> format)
      : path_(std::move(path)), format_(std::move(format)) {}

  /// Replaces the file atomically, if it is not as it should be. @param items  of the set, in order
  /// @throws Error(io|resource), after which it is what it was
  void write(const std::vector<std::int64_t>& items, const RecordOf& record_of);

 private:
  struct Block {  ///< rows of one item in the file that lies there
    std::int64_t item = 0;
    std::uint64_t offset = 0;
    std::uint32_t size = 0, part = 0;  ///< bytes; place in parts_
  };
  [[nodiscard]] const Block* find(std::int64_t item) const;
  [[nodiscard]] std::uint32_t number_of(const std::string& part);
  [[nodiscard]] std::vector<Block> blocks_of(const std::vector<std::int64_t>& items, const RecordOf& record_of);
  [[nodiscard]] std::vector<std::string> bases_of(const flow::TableLayout& layout, const std::vector<bool>& used) const;
  [[nodiscard]] bool is_as_it_was(const std::vector<Block>& blocks, const std::string& head,
                                  const std::vector<std::string>& bases) const;

  std::filesystem::path path_;
  std::unique_ptr<flow::TableFormat> format_;
  std::vector<std::string> parts_;  ///< that records have had
  // Of the file that was written last:
  std::vector<Block> blocks_;         ///< in the order of the file
  std::vector<std::uint32_t> order_;  ///< places in it, sorted by item
  std::vector<std::string> bases_;    ///< by part; empty: not in it
  std::string head_;
  std::uint64_t size_ = 0;  ///< 0: none was written yet
  std::filesystem::file_time_type time_{};
};

/// Used by one thread at a time.
class StarWriter {
 public:
  /// Null for sets that have no table.
  using Formats = std::function<std::unique_ptr<flow::TableFormat>(const SetView&)>;
  using Tables = std::function<std::vector<flow::KeptTable>(const flow::Plan&)>;
  StarWriter(std::unique_ptr<store::Reader> reader, Formats formats, Tables tables)
      : reader_(std::move(reader)), formats_(std::move(formats)), tables_of_(std::move(tables)) {}

  /// Writes the sets that are not as they were when they were last written. @throws Error, after which they still are
  /// not
  void write(const State& state);

 private:
  void begin_anew(const State& state);
  [[nodiscard]] std::unique_ptr<SetFile> file_of(const State& state, int step, int port, const std::string& name) const;
  void write_kept(const State& state, std::size_t table);
  void write_others(const State& state, const flow::KeptTable& table) const;

  std::unique_ptr<store::Reader> reader_;
  Formats formats_;
  Tables tables_of_;
  std::int64_t load_ = -1;                                    ///< of the state for which the rest holds
  std::vector<std::int64_t> written_;                         ///< by step: sequence of the change that was written last
  std::vector<std::vector<std::unique_ptr<SetFile>>> files_;  ///< by step and port; null: no table
  std::vector<flow::KeptTable> tables_;
  std::vector<std::pair<flow::Endpoint, std::unique_ptr<SetFile>>>
      kept_;                        ///< by table: of which set it is, and its file
  std::int64_t kept_written_ = -1;  ///< sequence of the state whose tables of what is kept were written last
};

}  // namespace frazil::engine
