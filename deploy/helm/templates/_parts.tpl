{{/* Parts that several templates share. */}}

{{/* The labels that select: of the release, and with `component` of its pods of one kind. Takes the list: root, component. */}}
{{- define "lecturepulse.selector" -}}
app.kubernetes.io/name: lecturepulse
app.kubernetes.io/instance: {{ (first .).Release.Name }}
{{- with last . }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end }}

{{- define "lecturepulse.labels" -}}
{{ include "lecturepulse.selector" . }}
app.kubernetes.io/managed-by: {{ (first .).Release.Service }}
app.kubernetes.io/version: {{ (first .).Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" (first .).Chart.Name (first .).Chart.Version }}
{{- end }}

{{/* The beginning of the names of the Secrets with users and passwords. */}}
{{- define "lecturepulse.secrets" -}}
{{ .Values.redis.secrets | default (ternary .Release.Name "lecturepulse" (ne .Values.redis.url "")) }}
{{- end }}

{{/* YAML of the Redis that the programs use: address, database, tls, port. */}}
{{- define "lecturepulse.redis" -}}
{{- $url := urlParse (.Values.redis.url | default (printf "redis://redis.%s.svc:6379/0" .Release.Namespace)) }}
{{- $port := regexFind ":[0-9]+$" $url.host | default ":6379" }}
address: {{ print (trimSuffix $port $url.host) $port | quote }}
port: {{ trimPrefix ":" $port }}
database: {{ regexFind "\\bdb=[0-9]+" $url.query | trimPrefix "db=" | default (trimPrefix "/" $url.path) | default "0" | quote }}
tls: {{ eq $url.scheme "rediss" | quote }}
{{- end }}

{{/* What makes a pod unprivileged, and where it runs. Takes the list: root, user id. */}}
{{- define "lecturepulse.pod" -}}
automountServiceAccountToken: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ last . }}
  runAsGroup: {{ last . }}
  fsGroup: {{ last . }}
  seccompProfile: {type: RuntimeDefault}
{{- with (first .).Values.imagePullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- with (first .).Values.nodeSelector }}
nodeSelector: {{ toJson . }}
{{- end }}
{{- with (first .).Values.tolerations }}
tolerations: {{ toJson . }}
{{- end }}
{{- end }}

{{- define "lecturepulse.unprivileged" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* Annotations by which a Prometheus without the operator finds a pod. Takes the list: root, port. */}}
{{- define "lecturepulse.scraped" -}}
{{- if not (first .).Values.monitoring.enabled -}}
prometheus.io/scrape: "true"
prometheus.io/port: {{ last . | quote }}
{{- end }}
{{- end }}
