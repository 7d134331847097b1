{{- define "wolkvox.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "wolkvox.fullname" -}}
{{- $name := include "wolkvox.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "wolkvox.selectorLabels" -}}
app.kubernetes.io/name: {{ include "wolkvox.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "wolkvox.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "wolkvox.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "wolkvox.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "wolkvox.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "wolkvox.secret" -}}
{{- default (printf "%s-tokens" (include "wolkvox.fullname" .)) .Values.existingSecret }}
{{- end }}

{{- define "wolkvox.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- define "wolkvox.probes" -}}
{{- if eq .Values.probes.type "auto" }}{{ ternary "exec" "http" (not (empty .Values.webConfig)) }}{{ else }}{{ .Values.probes.type }}{{ end }}
{{- end }}

{{- /* The configuration, with the path of the token where an operation names none. */ -}}
{{- define "wolkvox.config" -}}
{{- $config := deepCopy .Values.config }}
{{- range $operation := $config.operations }}
{{- if not (or $operation.token_file $operation.token_env) }}
{{- $_ := set $operation "token_file" (printf "/run/secrets/wolkvox/%s" $operation.name) }}
{{- end }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{- /* What would end in two pods on one token, or in none, is refused here. */ -}}
{{- define "wolkvox.check" -}}
{{- if not .Values.config.operations }}
{{- fail "config.operations is empty: list the operations to poll, as in docs/configuration.md" }}
{{- end }}
{{- if and .Values.existingSecret .Values.tokens }}
{{- fail "existingSecret and tokens are both set: the tokens come from one place" }}
{{- end }}
{{- range $operation := .Values.config.operations }}
{{- if not (or $operation.token_file $operation.token_env $.Values.existingSecret (hasKey $.Values.tokens $operation.name)) }}
{{- fail (printf "the token of %s is missing: set existingSecret, or tokens.%s" $operation.name $operation.name) }}
{{- end }}
{{- end }}
{{- $running := lookup "apps/v1" "StatefulSet" .Release.Namespace (include "wolkvox.fullname" .) }}
{{- if $running }}
{{- $before := index ($running.metadata.annotations | default dict) "wolkvox-exporter/shards" | default "1" }}
{{- if and (ne $before (toString .Values.shards)) (gt (int $running.status.replicas) 0) }}
{{- fail (printf "shards changes from %s to %d while pods run: kubectl -n %s scale statefulset %s --replicas=0, wait five minutes, then upgrade" $before (int .Values.shards) .Release.Namespace (include "wolkvox.fullname" .)) }}
{{- end }}
{{- end }}
{{- end }}
