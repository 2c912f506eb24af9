#include "gateway/config.h"

#include <fmt/format.h>

#include <string_view>

#include "base/core/secret_check.h"
#include "base/crypto/ed25519.h"
#include "gateway/core/client_address.h"

namespace tidegate::gateway {
namespace {

constexpr std::size_t kDeploymentBytesMax = 63;

std::string secret_problem(std::string_view name, const std::string& secret) {
  const Status strong = check_secret(name, secret);
  return strong ? std::string() : strong.error().message + "\n";
}

/// How long and how much one connection may take: what keeps slow and greedy clients from holding the door.
void add_connection_rows(ConfigTable& table, GatewayConfig& c) {
  const auto milliseconds = [&](const char* key, std::chrono::milliseconds& target, std::int64_t most, const char* doc) {
    table.milliseconds(key, target, 100, most, doc);
    table.reloadable();
  };
  const auto integer = [&](const char* key, std::int64_t& target, std::int64_t least, std::int64_t most, const char* doc) {
    table.integer(key, target, least, most, doc);
    table.reloadable();
  };
  integer("limits.connections", c.connections_max, 1, 1'000'000, "Most open HTTP connections.");
  integer("limits.connections_per_address", c.connections_per_address_max, 0, 1'000'000,
          "Most of them from one address (IPv6: one /64); 0 = no such limit, as behind a proxy, whose clients share one.");
  integer("limits.requests_per_connection", c.requests_per_connection_max, 0, 1'000'000'000,
          "Requests after which a connection is closed; 0 = any number.");
  integer("limits.body_bytes", c.body_bytes_max, 1'024, 64 << 20, "Largest request body.");
  integer("limits.body_rate_min", c.body_rate_min, 0, 1 << 20,
          "Bytes a second that a request body must reach after five seconds; 0 = limits.body_ms alone.");
  milliseconds("limits.header_ms", c.header_max, 600'000, "From the first byte of a request to the end of its head.");
  milliseconds("limits.body_ms", c.body_max, 600'000, "From the end of the head to the end of the body.");
  milliseconds("limits.idle_ms", c.idle_max, 3'600'000, "Silence between the requests of one connection.");
  milliseconds("limits.write_stall_ms", c.write_stall_max, 600'000, "A client that takes no byte of a pending answer.");
  milliseconds("limits.handshake_ms", c.handshake_max, 600'000, "A TLS handshake.");
  integer("limits.handshakes", c.handshakes_max, 1, 100'000, "TLS handshakes under way at once; more are cut off.");
}

/// Certificates of the two public ports and of the connections inside.
void add_tls_rows(ConfigTable& table, GatewayConfig& c) {
  table.text("http.tls_cert_file", c.http_tls_cert_file,
             "Certificate of the HTTP API with its chain, PEM. With it the port speaks TLS 1.2 and 1.3 only; empty: plain, "
             "for the inside of a proxy. Read again at every reload.");
  table.reloadable();
  table.private_file("http.tls_key_file", c.http_tls_key_file, "Key of http.tls_cert_file, PEM without a passphrase.");
  table.reloadable();
  table.text("http.tls_client_ca_file", c.http_tls_client_ca_file,
             "Authorities of clients, PEM: with it nobody connects without a certificate of one of them.");
  table.reloadable();
  table.text("grpc.tls_cert_file", c.grpc_tls_cert_file,
             "As http.tls_cert_file, for the gRPC API; a changed file is taken up within ten seconds.");
  table.private_file("grpc.tls_key_file", c.grpc_tls_key_file, "Key of grpc.tls_cert_file.");
  add_rpc_tls_rows(table, c.rpc_tls);
}

std::string on_failure_problem(std::string_view name, const std::string& word) {
  if (word == "open" || word == "closed") return {};
  return fmt::format("{}: \"{}\" is neither open nor closed\n", name, word);
}

}  // namespace

ConfigTable config_table(GatewayConfig& c) {
  ConfigTable table("tidegate-gateway");
  table.text("http.listen", c.http_listen, "Address and port of the HTTP API.");
  table.text(
      "http.trusted_proxies", c.trusted_proxies,
      "Proxies whose X-Forwarded-For is believed when a key is limited to source addresses: CIDR ranges with commas. "
      "Empty: nobody's.");
  table.reloadable();
  table.text("grpc.listen", c.grpc_listen,
             "Address and port of the gRPC API. Inside only: a public one stands behind a proxy.");
  table.text("admin.listen", c.admin_listen, "Address and port of /metrics, /livez, /readyz. Inside only.");
  table.integer("io.threads", c.io_threads, 1, 64, "Threads that serve requests; each has its own sessions.");
  table.text("region", c.region, "Region this gateway stands in; its pools are preferred.");
  table.text("pool", c.pool, "Pool whose prices GET /v1/models quotes.");
  table.text("gateway.id", c.gateway_id, "Name of this gateway, unique and stable over restarts: billing knows its journal by it.");
  table.required();
  table.text("scheduler.address", c.scheduler_address, "Scheduler: host:port or unix:path; up to 8 with commas between, all watched: the one that leads counts.");
  table.required();
  table.text("billing.address", c.billing_address, "Billing: host:port or unix:path.");
  table.required();
  table.text("redis.address", c.redis_address,
             "Redis of all gateways: unix:path or host:port. They share rate limits through it, and it keeps answers "
             "for Idempotency-Key. Empty: every gateway keeps to its static part of each limit, and requests with the "
             "header are refused.");
  table.text("journal.dir", c.journal_dir, "Folder of the usage journal, on a disk that survives the process; one gateway each.");
  table.required();
  table.integer("journal.quota_bytes", c.journal_quota_bytes, std::int64_t{16} << 20, std::int64_t{1} << 40,
                "Disk space for usage that billing has not acknowledged; admission stops before it is full.");
  table.milliseconds("leases.horizon_ms", c.lease_horizon, 0, 600'000,
                     "How long requests are admitted without billing, or its database: what each wallet and cap spends in "
                     "this time is kept here, at most an eighth of what is left of it. billing's leases.ttl_ms is one and a "
                     "half times as long. 0: two seconds of holds are kept, no more.");
  table.secret_file("secrets.pepper_file", c.pepper, "Secret behind the HMAC of API keys; the same as billing's.");
  table.required();
  table.secret_file("secrets.cluster_token_file", c.cluster_token, "Token the services of this cluster show each other.");
  table.required();
  table.secret_file("secrets.cache_salt_file", c.cache_salt,
                    "Root of the tenants' prefix-cache salts; the same on every gateway of a region.");
  table.required();
  table.secret_file(
      "secrets.receipt_key_file", c.receipt_key,
      "Key that signs this gateway's receipts, made by: tidegate receipt-key mint. To rotate, replace the "
      "file and restart; the old public key stays published.");
  table.required();
  table.secret_file("secrets.redis_password_file", c.redis_password, "Password of Redis; none when left out.");
  table.milliseconds("idempotency.ttl_ms", c.idempotency_ttl, 60'000, 604'800'000,
                     "How long a request with an Idempotency-Key and its answer are remembered.");
  table.integer("idempotency.answer_bytes", c.idempotency_answer_bytes_max, 1'024, 16 << 20,
                "Largest answer that is kept; of a larger one only that it was given and charged.");
  table.text("deployment.name", c.deployment, "Name of this installation, printed on every receipt.");
  table.text("guard.rules_file", c.guard_rules_file,
             "Policy on content: a JSON file of rules that deny, mask or log texts going in and out. Empty: none.");
  table.text("guard.address", c.guard_address,
             "The same from another process (tidegate.v1.Guard over gRPC): host:port or unix:path. Not both.");
  table.secret_file("secrets.guard_token_file", c.guard_token,
                    "Token shown to the server at guard.address; none when left out.");
  table.milliseconds("guard.wait_ms", c.guard_wait_max, 10, 30'000, "Longest wait for the verdict of guard.address.");
  table.integer("guard.calls", c.guard_calls_max, 1, 65'536,
                "Most verdicts of guard.address waited for at once, or long texts that wait for guard.rules_file; one more "
                "counts as a failure.");
  table.integer("guard.threads", c.guard_threads, 1, 64,
                "Threads that hold long texts of requests against guard.rules_file, beside those that serve.");
  table.text("guard.input_on_failure", c.guard_input_on_failure,
             "A request that the policy gave no verdict on: closed (503 guard_unavailable) or open (it passes unread).");
  table.text("guard.output_on_failure", c.guard_output_on_failure,
             "An answer that the policy gave no verdict on: closed (it ends with an error) or open (it goes on unread).");
  table.integer("guard.window_bytes", c.guard_window_bytes, 64, 16'384,
                "Longest match of a rule for output; an answer is held back by at most three times as many bytes, and only "
                "while a rule may still match.");
  table.milliseconds("balance.cache_ms", c.balance_keep, 0, 60'000,
                     "How old the balance may be that GET user/balance tells; each look-up is a query of billing's database.");
  table.integer("balance.lookups_per_second", c.balance_lookups_per_second, 1, 10'000,
                "Most such look-ups of this gateway in a second, of all tenants; beyond, a balance of the last minute is told, "
                "or 429.");
  table.milliseconds("limits.request_ms", c.request_max, 1'000, 3'600'000, "Longest life of a request.");
  table.milliseconds("limits.queue_wait_ms", c.queue_wait_max, 100, 600'000, "Longest wait for a worker; then 503.");
  table.reloadable();
  table.integer("limits.queue_length", c.queue_length_max, 1, 1'000'000, "Most requests waiting per model, pool and thread.");
  table.reloadable();
  table.milliseconds("limits.queue_target_ms", c.queue_target, 100, 600'000,
                     "Predicted wait up to which requests are taken once a backlog of more than this stands; others get "
                     "503 at once, with when to come back.");
  table.reloadable();
  table.integer("queue.input_weight", c.queue_input_weight, 1, 1'000,
                "What fairness counts for a prompt token that no cache had.");
  table.integer("queue.output_weight", c.queue_output_weight, 1, 1'000, "What fairness counts for an answer's token.");
  table.milliseconds("limits.keep_alive_ms", c.keep_alive, 100, 10'000, "Silence on a stream before a comment is sent.");
  table.reloadable();
  table.integer("limits.completion_tokens_default", c.completion_tokens_default, 1, 393'216,
                "Completion ceiling of requests that name none.");
  table.reloadable();
  add_connection_rows(table, c);
  table.integer("limits.gateways", c.limit_gateways, 1, 1'000,
                "Gateways that share rate limits, until Redis has told how many there are; the larger number counts. "
                "While Redis is away each keeps to the limit divided by it.");
  table.milliseconds("limits.redis_wait_ms", c.limit_wait_max, 2, 1'000,
                     "Longest wait of a request for a share of a rate limit; an answer of Redis that takes half of it "
                     "counts as none.");
  table.milliseconds("limits.lame_duck_ms", c.lame_duck, 0, 600'000,
                     "After SIGTERM: time to serve on while /readyz and gRPC health send new requests elsewhere; then "
                     "limits.drain_ms begins. A second SIGTERM ends it.");
  table.reloadable();
  table.milliseconds("limits.drain_ms", c.drain_max, 0, 600'000,
                     "After the lame-duck time: time for open answers to finish.");
  table.reloadable();
  table.integer("routing.prefix_entries", c.prefix_entries_max, 0, 16'777'216,
                "Prompt prefixes remembered, each with a worker that has it cached; about 90 bytes each, for some 256 "
                "tokens of prompt. 0: workers are chosen by their load alone.");
  table.milliseconds("routing.slow_start_ms", c.slow_start, 0, 600'000,
                     "Time over which a worker that has just come takes more and more, beside others that were there.");
  table.integer("routing.eject_errors", c.eject_after_errors, 1, 1'000,
                "Failures in a row after which a worker gets nothing new for a while.");
  table.milliseconds("routing.eject_ms", c.eject_least, 100, 300'000,
                     "The first such while; doubled each time up to five minutes. Then one request is tried.");
  table.integer("routing.ejected_percent", c.ejected_percent_max, 0, 90,
                "Most workers of a pool out at once, in percent; one always may be, the last one never.");
  table.milliseconds("routing.stall_ms", c.stall_after, 1'000, 3'600'000,
                     "Silence of a worker that has requests running after which it counts as failed.");
  table.milliseconds("routing.spill_ms", c.spill_after, 0, 600'000,
                     "Requests that would wait longer than this, or have no worker at home, go to another region's "
                     "pool if their account may be served there at the same entry of the price book. 0: never.");
  add_tls_rows(table, c);
  add_log_row(table, c.log_level);
  return table;
}

Status check_config(const GatewayConfig& config) {
  std::string problems = secret_problem("secrets.pepper_file", config.pepper) +
                         secret_problem("secrets.cluster_token_file", config.cluster_token) +
                         secret_problem("secrets.cache_salt_file", config.cache_salt);
  // One secret for two purposes was a CVSS 9.9 elsewhere.
  if (config.pepper == config.cluster_token || config.pepper == config.cache_salt || config.cluster_token == config.cache_salt) {
    problems += "secrets: two of them are the same; make one for each purpose\n";
  }
  if (const auto key = Ed25519Key::from_pem(config.receipt_key, "secrets.receipt_key_file"); !key) {
    problems += key.error().message + "\n";
  }
  if (config.deployment.empty() || config.deployment.size() > kDeploymentBytesMax) {
    problems += fmt::format("deployment.name: give it 1 to {} characters\n", kDeploymentBytesMax);
  }
  if (const auto proxies = TrustedProxies::parse(config.trusted_proxies); !proxies) {
    problems += "http.trusted_proxies: " + proxies.error().message + "\n";
  }
  if (!config.guard_rules_file.empty() && !config.guard_address.empty()) {
    problems += "guard.rules_file: guard.address is set, too; leave one of them out\n";
  }
  problems += on_failure_problem("guard.input_on_failure", config.guard_input_on_failure) +
              on_failure_problem("guard.output_on_failure", config.guard_output_on_failure);
  if (!problems.empty()) return fail(Code::kInvalidArgument, "bad_config", std::move(problems));
  return {};
}

std::string describe_config(GatewayConfig config) { return config_table(config).values(); }

}  // namespace tidegate::gateway
