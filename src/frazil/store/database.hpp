// SQLite with exceptions: one connection, prepared statements kept, values bound by type.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

struct sqlite3;
struct sqlite3_stmt;

namespace frazil::store {

/// A prepared statement at work: bind in order, step through rows, read columns in order. Resets itself at the end.
class Query {
 public:
  explicit Query(sqlite3_stmt* statement) : statement_(statement) {}
  ~Query();
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;

  Query& bind(std::int64_t value);
  Query& bind(int value) { return bind(static_cast<std::int64_t>(value)); }
  Query& bind(bool value) { return bind(static_cast<std::int64_t>(value)); }
  Query& bind(double value);
  Query& bind(std::string_view value);
  Query& bind(const char* value) { return bind(std::string_view(value)); }
  Query& bind(const std::string& value) { return bind(std::string_view(value)); }
  Query& bind_null();
  /// True while there is a row. @throws Error(io|resource|corrupt)
  bool step();
  /// For statements without rows.
  void run();

  [[nodiscard]] std::int64_t integer();
  [[nodiscard]] double number();
  [[nodiscard]] std::string text();
  [[nodiscard]] std::string_view view();  ///< valid until the next step
  [[nodiscard]] bool is_null() const;     ///< of the column that would be read next
  void skip() { ++column_; }

 private:
  sqlite3_stmt* statement_;
  int parameter_ = 0, column_ = 0;
};

/// One connection. Not shared between threads.
class Database {
 public:
  /// Opens or creates. The connection holds the file alone (exclusive locking, no shared-memory file).
  /// @throws Error(resource) if another process has it open, Error(corrupt) if it is no database
  explicit Database(const std::filesystem::path& path);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  /// The statement is prepared at first use and kept; `sql` must be a literal.
  [[nodiscard]] Query query(const char* sql);
  /// Runs one or several statements without parameters.
  void execute(const std::string& sql);
  [[nodiscard]] std::int64_t last_row() const;
  [[nodiscard]] int changes() const;  ///< rows that the last statement changed
  /// Copies the whole database into another file.
  void backup(const std::filesystem::path& to);
  /// Moves everything into the one main file, so that nothing else is left beside it after closing.
  void checkpoint();

 private:
  std::filesystem::path path_;
  sqlite3* connection_ = nullptr;
  std::unordered_map<const char*, sqlite3_stmt*> statements_;
};

}  // namespace frazil::store
