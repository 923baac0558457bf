// SQLite with exceptions: one connection, prepared statements kept, values bound by type.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

struct sqlite3;
struct sqlite3_stmt;
struct sqlite3_mutex;

namespace frazil::store {

/// How long the owner of a connection had to wait for others that use it.
struct Waits {
  std::int64_t count = 0;
  double total_s = 0, longest_s = 0;
};

/// Has a connection to itself for as long as it lives, and notes how long that took.
class Turn {
 public:
  Turn() = default;
  Turn(sqlite3* connection, Waits& waits);
  ~Turn();
  Turn(Turn&& other) noexcept : mutex_(std::exchange(other.mutex_, nullptr)) {}
  Turn& operator=(Turn&&) = delete;

 private:
  sqlite3_mutex* mutex_ = nullptr;
};

/// A prepared statement at work: bind in order, step through rows, read columns in order. Resets itself at the end.
class Query {
 public:
  /// @param used  set back at the end; null: the statement is this query's alone and ends with it
  Query(sqlite3_stmt* statement, bool* used, std::unique_lock<std::recursive_mutex> lock, Turn turn)
      : statement_(statement), used_(used), lock_(std::move(lock)), turn_(std::move(turn)) {}
  ~Query();
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;

  Query& bind(std::int64_t value);
  Query& bind(int value) { return bind(static_cast<std::int64_t>(value)); }
  Query& bind(bool value) { return bind(static_cast<std::int64_t>(value)); }
  Query& bind(double value);
  Query& bind(std::string_view value);
  /// Without a copy: the text stays as it is until the next step has been made.
  Query& lend(std::string_view value);
  /// Ready to be bound and run again.
  void reset();
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
  bool* used_;
  std::unique_lock<std::recursive_mutex> lock_;
  Turn turn_;
  int parameter_ = 0, column_ = 0;
};

/// How a database is opened.
enum class Access {
  write,  ///< alone (exclusive locking, no shared-memory file); made if it is not there
  read    ///< a file that nobody changes: nothing is written, beside it neither
};

/// A connection with prepared statements of its own. Several of them may share one connection, each for one or more
/// threads: what one thread asks for waits only while another of the same object steps through its rows, or while the
/// connection makes a commit durable.
class Database {
 public:
  /// @throws Error(resource) if another process has it open, Error(corrupt) if it is no database
  explicit Database(const std::filesystem::path& path, Access access = Access::write);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  /// The same connection for others, with statements of their own.
  [[nodiscard]] std::unique_ptr<Database> share() const;

  /// The statement is prepared at first use and kept; `sql` must be a literal. One that is at work already is prepared
  /// once more, so that whoever steps through its rows is not disturbed.
  [[nodiscard]] Query query(const char* sql);
  /// Runs one or several statements without parameters.
  void execute(const std::string& sql);
  /// Whether a transaction is open. A serious error ends one on its own: then nothing of it is left.
  [[nodiscard]] bool in_transaction() const;
  [[nodiscard]] std::int64_t last_row() const;
  [[nodiscard]] int changes() const;  ///< rows that the last statement changed
  /// Copies the whole database into another file.
  void backup(const std::filesystem::path& to);
  /// Moves everything into the one main file, so that nothing else is left beside it after closing.
  void checkpoint();
  /// Of the one that opened the connection, since then: it has it to itself while a query of its own lives.
  [[nodiscard]] const Waits& waits() const { return waits_; }

 private:
  Database(const Database& other, int);

  std::filesystem::path path_;
  std::shared_ptr<sqlite3> connection_;
  std::recursive_mutex mutex_;  ///< held while a query lives
  struct Kept {
    sqlite3_stmt* statement = nullptr;
    bool used = false;
  };
  std::unordered_map<const char*, Kept> statements_;
  bool is_owner_ = true;
  Waits waits_;
};

}  // namespace frazil::store
