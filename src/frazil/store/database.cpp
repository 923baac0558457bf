#include "frazil/store/database.hpp"

#include <sqlite3.h>

#include "frazil/base/error.hpp"

namespace frazil::store {
namespace {

[[noreturn]] void fail(sqlite3* connection, std::string_view doing) {
  const int code = sqlite3_errcode(connection) & 0xff;
  const auto kind = code == SQLITE_FULL || code == SQLITE_NOMEM || code == SQLITE_BUSY || code == SQLITE_LOCKED
                        ? ErrorCode::resource
                    : code == SQLITE_CORRUPT || code == SQLITE_NOTADB                            ? ErrorCode::corrupt
                    : code == SQLITE_IOERR || code == SQLITE_CANTOPEN || code == SQLITE_READONLY ? ErrorCode::io
                                                                                                 : ErrorCode::bug;
  const char* file = sqlite3_db_filename(connection, "main");
  throw Error(kind, "{}: {}: {}", file != nullptr ? file : "project database", doing, sqlite3_errmsg(connection));
}

}  // namespace

Query::~Query() {
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
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

Database::Database(const std::filesystem::path& path) : path_(path) {
  if (sqlite3_open_v2(path.c_str(), &connection_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                      nullptr) != SQLITE_OK) {
    const std::string why = connection_ != nullptr ? sqlite3_errmsg(connection_) : "out of memory";
    sqlite3_close(connection_);
    throw Error(ErrorCode::io, "{}: cannot be opened: {}", path.string(), why);
  }
  try {
    sqlite3_extended_result_codes(connection_, 0);
    sqlite3_busy_timeout(connection_, 2000);
    // Exclusive before WAL: the index of the log then lives in memory, and no file is shared between processes.
    execute(
        "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
        "PRAGMA temp_store=MEMORY; PRAGMA cache_size=-65536; PRAGMA wal_autocheckpoint=4000; BEGIN IMMEDIATE; COMMIT;");
  } catch (...) {
    sqlite3_close(connection_);
    throw;
  }
}

Database::~Database() {
  for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close(connection_);
}

Query Database::query(const char* sql) {
  auto& statement = statements_[sql];
  if (statement == nullptr &&
      sqlite3_prepare_v3(connection_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr) != SQLITE_OK)
    fail(connection_, sql);
  return Query(statement);
}

void Database::execute(const std::string& sql) {
  if (sqlite3_exec(connection_, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) fail(connection_, sql);
}

std::int64_t Database::last_row() const { return sqlite3_last_insert_rowid(connection_); }
int Database::changes() const { return sqlite3_changes(connection_); }

void Database::backup(const std::filesystem::path& to) {
  sqlite3* target = nullptr;
  if (sqlite3_open(to.c_str(), &target) != SQLITE_OK) {
    sqlite3_close(target);
    throw Error(ErrorCode::io, "{}: cannot be written as a backup of {}", to.string(), path_.string());
  }
  auto* copy = sqlite3_backup_init(target, "main", connection_, "main");
  const bool done = copy != nullptr && sqlite3_backup_step(copy, -1) == SQLITE_DONE;
  if (copy != nullptr) sqlite3_backup_finish(copy);
  sqlite3_close(target);
  if (!done) throw Error(ErrorCode::io, "{}: backup of {} failed", to.string(), path_.string());
}

void Database::checkpoint() { execute("PRAGMA wal_checkpoint(TRUNCATE);"); }

}  // namespace frazil::store
