#include "scheduler/drivers/local/replica_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "base/json/json.h"

namespace tidegate::scheduler {

namespace {

constexpr const char* kNone = "-";  // an empty field would shift the others

std::string field(const std::string& text) { return text.empty() ? kNone : text; }
std::string plain(std::string text) { return text == kNone ? std::string() : text; }

std::string read_all(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream all;
  all << in.rdbuf();
  return all.str();
}

Status replace_file(const std::filesystem::path& path, const std::string& text) {
  const std::filesystem::path draft = path.string() + ".new";
  {
    std::ofstream out(draft, std::ios::binary | std::ios::trunc);
    out << text;
    if (!out.flush()) return fail(Code::kInternal, "state_unwritable", fmt::format("cannot write '{}'", draft.string()));
  }
  std::error_code code;
  std::filesystem::rename(draft, path, code);
  if (code) return fail(Code::kInternal, "state_unwritable", fmt::format("cannot replace '{}': {}", path.string(), code.message()));
  return {};
}

std::optional<ReplicaRecord> parse_record(const std::filesystem::path& path) {
  std::istringstream line(read_all(path));
  ReplicaRecord record;
  record.replica = path.stem().string();
  if (!(line >> record.pid >> record.start_ticks >> record.term >> record.deployment >> record.model >> record.spec_digest >>
        record.admin_address)) {
    return std::nullopt;
  }
  record.deployment = plain(record.deployment);
  record.spec_digest = plain(record.spec_digest);
  return record;
}

}  // namespace

Status write_record(const std::filesystem::path& run_dir, const ReplicaRecord& record) {
  return replace_file(run_dir / (record.replica + ".pid"),
                      fmt::format("{} {} {} {} {} {} {}\n", record.pid, record.start_ticks, record.term, field(record.deployment),
                                  field(record.model), field(record.spec_digest), field(record.admin_address)));
}

void remove_record(const std::filesystem::path& run_dir, const std::string& replica) {
  std::error_code ignored;  // gone already is what we want
  std::filesystem::remove(run_dir / (replica + ".pid"), ignored);
}

std::vector<ReplicaRecord> read_records(const std::filesystem::path& run_dir) {
  std::vector<ReplicaRecord> records;
  std::error_code code;
  for (const auto& entry : std::filesystem::directory_iterator(run_dir, code)) {
    if (entry.path().extension() != ".pid") continue;
    if (auto record = parse_record(entry.path())) records.push_back(*std::move(record));
  }
  std::sort(records.begin(), records.end(), [](const auto& a, const auto& b) { return a.replica < b.replica; });
  return records;
}

Status enter_term(const std::filesystem::path& run_dir, Term term) {
  const std::filesystem::path path = run_dir / "term";
  Term newest = 0;
  std::istringstream(read_all(path)) >> newest;
  if (term < newest) {
    return fail(Code::kFailedPrecondition, "stale_term", fmt::format("term {} has acted here; {} is older", newest, term));
  }
  if (term == newest) return {};
  return replace_file(path, fmt::format("{}\n", term));
}

Status write_scrape_targets(const std::filesystem::path& run_dir, const std::vector<ReplicaRecord>& alive) {
  json::array list;
  for (const auto& record : alive) {
    json::object labels;
    labels["replica"] = record.replica;
    labels["deployment"] = record.deployment;
    json::object target;
    target["targets"] = json::array{json::value(record.admin_address)};
    target["labels"] = std::move(labels);
    list.push_back(std::move(target));
  }
  const std::string text = json::serialize(list) + "\n";
  const std::filesystem::path path = run_dir / "prometheus_sd.json";
  if (read_all(path) == text) return {};
  return replace_file(path, text);
}

}  // namespace tidegate::scheduler
