// For users of monitoring mixins: what this repository ships as files, in the form of a mixin.
// Prometheus fills in `grafana_url` and `runbook_url` from its external labels: docs/alerting.md.
local files = [
  importstr 'deploy/prometheus/wolkvox.rules.yml',
  importstr 'deploy/prometheus/wolkvox-shards.rules.yml',
];
local groups(kind) = [
  group { rules: [rule for rule in group.rules if std.objectHas(rule, kind)] }
  for file in files
  for group in std.parseYaml(file).groups
  if std.length([rule for rule in group.rules if std.objectHas(rule, kind)]) > 0
];
local boards = {
  en: [
    import 'grafana-dashboards/overview.json',
    import 'grafana-dashboards/skill.json',
    import 'grafana-dashboards/exporter.json',
  ],
  es: [
    import 'grafana-dashboards/es/overview.json',
    import 'grafana-dashboards/es/skill.json',
    import 'grafana-dashboards/es/exporter.json',
  ],
};

{
  _config+:: { language: 'en' },  // or 'es'
  prometheusAlerts+:: { groups+: groups('alert') },
  prometheusRules+:: { groups+: groups('record') },
  grafanaDashboards+:: { [board.uid + '.json']: board for board in boards[$._config.language] },
}
