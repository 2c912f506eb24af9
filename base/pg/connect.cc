#include "base/pg/connect.h"

#include <algorithm>

namespace tidegate::pg {

namespace {

std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

std::string keywords(const ConnectOptions& options) {
  const auto seconds = std::max<std::int64_t>(2, std::chrono::ceil<std::chrono::seconds>(options.connect_timeout).count());
  std::string settings = "-c statement_timeout=" + std::to_string(options.statement_timeout.count()) +
                               " -c idle_in_transaction_session_timeout=" +
                               std::to_string(options.idle_in_transaction_timeout.count()) + " -c lock_timeout=" + std::to_string(options.lock_timeout.count()) + " -c timezone=UTC" +
                               " -c client_min_messages=warning"
                               // Compiling a statement takes a third of a second; ours are done before that.
                               " -c jit=off";
  if (!options.role.empty()) settings += " -c role=" + options.role;
  return options.connection + " application_name=" + quoted(options.application) +
         " connect_timeout=" + std::to_string(seconds) + " options=" + quoted(settings) +
         " keepalives_idle=2 keepalives_interval=1 keepalives_count=3 tcp_user_timeout=5000";
}

}  // namespace

std::unique_ptr<pqxx::connection> connect(const ConnectOptions& options) {
  auto connection = std::make_unique<pqxx::connection>(keywords(options));
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"  // libpqxx 7 has what we want as its only behaviour
  connection->inhibit_reactivation(true);
#pragma GCC diagnostic pop
  return connection;
}

}  // namespace tidegate::pg
