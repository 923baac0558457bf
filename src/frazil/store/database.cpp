#include "frazil/store/database.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <chrono>
#include <string_view>

#include "frazil/base/error.hpp"
#include "frazil/base/no_space.hpp"

namespace frazil::store {
namespace {

[[noreturn]] void fail(sqlite3* connection, std::string_view doing) {
  const int code = sqlite3_errcode(connection) & 0xff;
  const auto kind = code == SQLITE_FULL || code == SQLITE_NOMEM || code == SQLITE_BUSY || code == SQLITE_LOCKED
                        ? ErrorCode::resource
                    : code == SQLITE_CORRUPT || code == SQLITE_NOTADB                            ? ErrorCode::corrupt
                    : code == SQLITE_IOERR || code == SQLITE_CANTOPEN || code == SQLITE_READONLY ? ErrorCode::io
                                                                                                 : ErrorCode::bug;
  // The text belongs to the connection, which another thread may use.
  sqlite3_mutex_enter(sqlite3_db_mutex(connection));
  const std::string why = sqlite3_errmsg(connection);
  sqlite3_mutex_leave(sqlite3_db_mutex(connection));
  const char* file = sqlite3_db_filename(connection, "main");
  if (file == nullptr) file = "project database";
  if (code == SQLITE_FULL) throw NoSpace("{}: {}: {}", file, doing, why);
  throw Error(kind, "{}: {}: {}", file, doing, why);
}

/// "file:/a%20b?immutable=1": a file that nobody changes is read without locks.
std::string immutable_address(const std::filesystem::path& path) {
  std::string text = "file:";
  for (const char c : std::filesystem::absolute(path).string()) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("/._-").find(c) != std::string_view::npos;
    text += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return text + "?immutable=1";
}

void close(sqlite3* connection) { sqlite3_close(connection); }

}  // namespace

Turn::Turn(sqlite3* connection, Waits& waits) : mutex_(sqlite3_db_mutex(connection)) {
  if (sqlite3_mutex_try(mutex_) == SQLITE_OK) return;
  const auto start = std::chrono::steady_clock::now();
  sqlite3_mutex_enter(mutex_);
  const double waited_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  ++waits.count;
  waits.total_s += waited_s;
  waits.longest_s = std::max(waits.longest_s, waited_s);
}

Turn::~Turn() {
  if (mutex_ != nullptr) sqlite3_mutex_leave(mutex_);
}

Query::~Query() {
  if (used_ == nullptr) {
    sqlite3_finalize(statement_);
    return;
  }
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
  *used_ = false;
}

Query& Query::bind(std::int64_t value) {
  sqlite3_bind_int64(statement_, ++parameter_, value);
  return *this;
}
Query& Query::bind(double value) {
  sqlite3_bind_double(statement_, ++parameter_, value);
  return *this;
}
Query& Query::bind(std::string_view value) {
  // A null pointer would bind NULL where empty text is meant.
  sqlite3_bind_text(statement_, ++parameter_, value.data() != nullptr ? value.data() : "",
                    static_cast<int>(value.size()), SQLITE_TRANSIENT);
  return *this;
}
Query& Query::lend(std::string_view value) {
  sqlite3_bind_text(statement_, ++parameter_, value.data() != nullptr ? value.data() : "",
                    static_cast<int>(value.size()), SQLITE_STATIC);
  return *this;
}
Query& Query::bind_null() {
  sqlite3_bind_null(statement_, ++parameter_);
  return *this;
}

bool Query::step() {
  column_ = 0;
  const int result = sqlite3_step(statement_);
  if (result == SQLITE_ROW) return true;
  if (result != SQLITE_DONE) fail(sqlite3_db_handle(statement_), sqlite3_sql(statement_));
  return false;
}

void Query::reset() {
  sqlite3_reset(statement_);
  parameter_ = column_ = 0;
}

void Query::run() {
  while (step()) {
  }
}

std::int64_t Query::integer() { return sqlite3_column_int64(statement_, column_++); }
double Query::number() { return sqlite3_column_double(statement_, column_++); }
std::string_view Query::view() {
  const int column = column_++;
  const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  return data == nullptr ? std::string_view()
                         : std::string_view(data, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column)));
}
std::string Query::text() { return std::string(view()); }
bool Query::is_null() const { return sqlite3_column_type(statement_, column_) == SQLITE_NULL; }

Database::Database(const std::filesystem::path& path, Access access) : path_(path) {
  const bool writes = access == Access::write;
  const auto name = writes ? path.string() : immutable_address(path);
  const int flags = SQLITE_OPEN_FULLMUTEX |
                    (writes ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY | SQLITE_OPEN_URI);
  sqlite3* opened = nullptr;
  const int result = sqlite3_open_v2(name.c_str(), &opened, flags, nullptr);
  connection_.reset(opened, close);
  if (result != SQLITE_OK)
    throw Error(ErrorCode::io, "{}: cannot be opened: {}", path.string(),
                opened != nullptr ? sqlite3_errmsg(opened) : "out of memory");
  sqlite3_extended_result_codes(opened, 0);
  if (!writes) {
    execute("PRAGMA temp_store=MEMORY; PRAGMA cache_size=-65536; SELECT count(*) FROM sqlite_schema;");
    return;
  }
  sqlite3_busy_timeout(opened, 2000);
  // Exclusive before WAL: the index of the log then lives in memory, and no file is shared between processes.
  execute(
      "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
      "PRAGMA temp_store=MEMORY; PRAGMA cache_size=-65536; PRAGMA wal_autocheckpoint=4000; BEGIN IMMEDIATE; COMMIT;");
}

Database::Database(const Database& other, int) : path_(other.path_), connection_(other.connection_), is_owner_(false) {}

std::unique_ptr<Database> Database::share() const { return std::unique_ptr<Database>(new Database(*this, 0)); }

Database::~Database() {
  for (const auto& [sql, kept] : statements_) sqlite3_finalize(kept.statement);
}

Query Database::query(const char* sql) {
  std::unique_lock lock(mutex_);
  auto* connection = connection_.get();
  auto turn = is_owner_ ? Turn(connection, waits_) : Turn();
  const auto prepare = [&](unsigned flags) {
    sqlite3_stmt* made = nullptr;
    if (sqlite3_prepare_v3(connection, sql, -1, flags, &made, nullptr) != SQLITE_OK) fail(connection, sql);
    return made;
  };
  auto& kept = statements_[sql];
  if (kept.used) return {prepare(0), nullptr, std::move(lock), std::move(turn)};
  if (kept.statement == nullptr) kept.statement = prepare(SQLITE_PREPARE_PERSISTENT);
  kept.used = true;
  return {kept.statement, &kept.used, std::move(lock), std::move(turn)};
}

void Database::execute(const std::string& sql) {
  if (sqlite3_exec(connection_.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK)
    fail(connection_.get(), sql);
}

bool Database::in_transaction() const { return sqlite3_get_autocommit(connection_.get()) == 0; }
std::int64_t Database::last_row() const { return sqlite3_last_insert_rowid(connection_.get()); }
int Database::changes() const { return sqlite3_changes(connection_.get()); }

void Database::backup(const std::filesystem::path& to) {
  sqlite3* target = nullptr;
  if (sqlite3_open(to.c_str(), &target) != SQLITE_OK) {
    sqlite3_close(target);
    throw Error(ErrorCode::io, "{}: cannot be written as a backup of {}", to.string(), path_.string());
  }
  auto* copy = sqlite3_backup_init(target, "main", connection_.get(), "main");
  const bool done = copy != nullptr && sqlite3_backup_step(copy, -1) == SQLITE_DONE;
  if (copy != nullptr) sqlite3_backup_finish(copy);
  sqlite3_close(target);
  if (!done) throw Error(ErrorCode::io, "{}: backup of {} failed", to.string(), path_.string());
}

void Database::checkpoint() { execute("PRAGMA wal_checkpoint(TRUNCATE);"); }

}  // namespace frazil::store
