#include "gateway/config.h"

#include <fmt/format.h>

#include <set>
#include <string_view>

#include "base/crypto/ed25519.h"
#include "gateway/core/client_address.h"

namespace tidegate::gateway {
namespace {

constexpr std::size_t kSecretBytesMin = 32;
/// Fewer different characters than this is a typed or patterned secret, not a random one.
constexpr std::size_t kSecretVarietyMin = 8;
constexpr std::size_t kDeploymentBytesMax = 63;

std::string secret_problem(std::string_view name, const std::string& secret) {
  if (secret.size() < kSecretBytesMin) {
    return fmt::format("{}: the secret has {} bytes; use at least {} random ones\n", name, secret.size(), kSecretBytesMin);
  }
  if (std::set<char>(secret.begin(), secret.end()).size() < kSecretVarietyMin) {
    return fmt::format("{}: the secret repeats a few characters; use random bytes\n", name);
  }
  return {};
}

}  // namespace

ConfigTable config_table(GatewayConfig& c) {
  ConfigTable table("tidegate-gateway");
  table.text("http.listen", c.http_listen, "Address and port of the HTTP API.");
  table.text(
      "http.trusted_proxies", c.trusted_proxies,
      "Proxies whose X-Forwarded-For is believed when a key is limited to source addresses: CIDR ranges with commas. "
      "Empty: nobody's.");
  table.text("grpc.listen", c.grpc_listen,
             "Address and port of the gRPC API. Inside only: a public one stands behind a proxy.");
  table.text("admin.listen", c.admin_listen, "Address and port of /metrics, /livez, /readyz. Inside only.");
  table.integer("io.threads", c.io_threads, 1, 64, "Threads that serve requests; each has its own sessions.");
  table.text("region", c.region, "Region this gateway stands in; its pools are preferred.");
  table.text("pool", c.pool, "Pool whose prices GET /v1/models quotes.");
  table.text("gateway.id", c.gateway_id, "Name of this gateway, unique and stable over restarts: billing knows its journal by it.");
  table.required();
  table.text("scheduler.address", c.scheduler_address, "Scheduler: host:port or unix:path.");
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
  table.milliseconds("limits.request_ms", c.request_max, 1'000, 3'600'000, "Longest life of a request.");
  table.milliseconds("limits.queue_wait_ms", c.queue_wait_max, 100, 600'000, "Longest wait for a worker; then 503.");
  table.integer("limits.queue_length", c.queue_length_max, 1, 1'000'000, "Most requests waiting per model, pool and thread.");
  table.milliseconds("limits.queue_target_ms", c.queue_target, 100, 600'000,
                     "Predicted wait up to which requests are taken once a backlog of more than this stands; others get "
                     "503 at once, with when to come back.");
  table.integer("queue.input_weight", c.queue_input_weight, 1, 1'000,
                "What fairness counts for a prompt token that no cache had.");
  table.integer("queue.output_weight", c.queue_output_weight, 1, 1'000, "What fairness counts for an answer's token.");
  table.milliseconds("limits.keep_alive_ms", c.keep_alive, 100, 10'000, "Silence on a stream before a comment is sent.");
  table.integer("limits.completion_tokens_default", c.completion_tokens_default, 1, 393'216,
                "Completion ceiling of requests that name none.");
  table.integer("limits.connections", c.connections_max, 1, 1'000'000, "Most open HTTP connections.");
  table.integer("limits.body_bytes", c.body_bytes_max, 1'024, 64 << 20, "Largest request body.");
  table.integer("limits.gateways", c.limit_gateways, 1, 1'000,
                "Gateways that share rate limits, until Redis has told how many there are; the larger number counts. "
                "While Redis is away each keeps to the limit divided by it.");
  table.milliseconds("limits.redis_wait_ms", c.limit_wait_max, 2, 1'000,
                     "Longest wait of a request for a share of a rate limit; an answer of Redis that takes half of it "
                     "counts as none.");
  table.milliseconds("limits.drain_ms", c.drain_max, 0, 600'000, "After SIGTERM: time for open answers to finish.");
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
  if (!problems.empty()) return fail(Code::kInvalidArgument, "bad_config", std::move(problems));
  return {};
}

std::string describe_config(GatewayConfig config) { return config_table(config).values(); }

}  // namespace tidegate::gateway
